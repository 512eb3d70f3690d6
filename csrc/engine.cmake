# The CPU engine: its kernels (csrc/isa/) once for each instruction set, and csrc/engine/, which
# chooses among them.
find_package(Threads REQUIRED)

# Those of ranks by bounds, also for sets with integer dot products.
set(BOUND_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/isa/bounds/kernels.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/bounds/rank_counts.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/bounds/round_items.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/bounds/top_k.cpp)

# Those of bfloat16 products, for sets that have them.
set(BF16_SOURCES ${CMAKE_CURRENT_LIST_DIR}/isa/bf16/kernels.cpp)
set(AMX_SOURCES ${BOUND_SOURCES} ${BF16_SOURCES})

set(KERNEL_SOURCES
  ${BOUND_SOURCES}
  ${CMAKE_CURRENT_LIST_DIR}/isa/activation.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/cell.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/gru_reset_after.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/gru_reset_before.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/input_product.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/lstm.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/cells/rnn.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/forward_pass.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/gathered_tables.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/input_rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/item_rows.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/item_scores.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/kernels.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/layer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/bpr.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/bpr_max.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/cross_entropy.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/loss.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/top1.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/losses/top1_max.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/adadelta.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/adagrad.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/adagrad_rowwise.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/adam.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/gradient.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/gradient_cap.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/rmsprop.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/optimisers/sgd.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/rank_counts.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/top_k.cpp
  ${CMAKE_CURRENT_LIST_DIR}/isa/training_step.cpp)

add_library(engine STATIC
  ${CMAKE_CURRENT_LIST_DIR}/engine/buffer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/dispatch.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/forward_pass.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/huge_pages.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/processor.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/sharing_choice.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/thread_pool.cpp
  ${CMAKE_CURRENT_LIST_DIR}/engine/training_step.cpp)
target_include_directories(engine PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_compile_options(engine PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
target_link_libraries(engine PUBLIC Threads::Threads)

# compile_kernels(<name> <list of sources> <compiler flags>...): in namespace <name>. Unlike the
# rest, they may contract a * b + c into a fused multiply-add.
function(compile_kernels name sources)
  add_library(kernels_${name} OBJECT ${${sources}})
  target_include_directories(kernels_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR})
  target_compile_definitions(kernels_${name} PRIVATE GRU4REC_FAST_ISA=${name})
  target_compile_options(kernels_${name} PRIVATE ${ARGN}
    $<$<CONFIG:Release>:-O3> -ffp-contract=fast -fno-math-errno -fno-trapping-math
    -Wall -Wextra -Wpedantic -Wshadow $<$<BOOL:${GRU4REC_FAST_WERROR}>:-Werror>)
  target_sources(engine PRIVATE $<TARGET_OBJECTS:kernels_${name}>)
  if(GRU4REC_FAST_CHECK_SYMBOLS)
    check_symbols(${name})
  endif()
endfunction()

# Fails the build where the kernels break the rule of csrc/isa/README.md. A debug build does not
# inline what the rule relies on.
set(GRU4REC_FAST_CHECK_SYMBOLS FALSE)
if(CMAKE_NM AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  set(GRU4REC_FAST_CHECK_SYMBOLS TRUE)
endif()

function(check_symbols name)
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/symbols_${name}.checked)
  set(checker ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/isa/check_symbols.py)
  add_custom_command(OUTPUT ${stamp}
    COMMAND ${Python_EXECUTABLE} ${checker} ${CMAKE_NM} ${name} $<TARGET_OBJECTS:kernels_${name}>
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${checker} $<TARGET_OBJECTS:kernels_${name}>
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(check_symbols_${name} DEPENDS ${stamp})
  add_dependencies(engine check_symbols_${name})
endfunction()

# kernels_for(<name> <list of sources> <compiler flags>...): some kernels, if the compiler knows the
# flags. Ranks by bounds must have the float32 scores of the set that dispatch.cpp puts them beside.
include(CheckCXXCompilerFlag)
function(kernels_for name sources)
  string(REPLACE ";" " " flags "${ARGN}")
  check_cxx_compiler_flag("${flags}" GRU4REC_FAST_COMPILES_${name})
  if(GRU4REC_FAST_COMPILES_${name})
    compile_kernels(${name} ${sources} ${ARGN})
    target_compile_definitions(engine PRIVATE GRU4REC_FAST_HAS_${name})
  endif()
endfunction()

compile_kernels(baseline KERNEL_SOURCES)
compile_kernels(emulated_amx AMX_SOURCES -DGRU4REC_FAST_EMULATED_AMX)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(AVX2 -mavx2 -mfma)
  set(AVX512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mprefer-vector-width=512)
  compile_kernels(avx2 KERNEL_SOURCES ${AVX2})
  compile_kernels(avx512 KERNEL_SOURCES ${AVX512})
  kernels_for(avxvnni BOUND_SOURCES ${AVX2} -mavxvnni)
  kernels_for(avx512vnni BOUND_SOURCES ${AVX512} -mavx512vnni)
  kernels_for(avx512bf16 BF16_SOURCES ${AVX512} -mavx512bf16)
  kernels_for(amx AMX_SOURCES
    ${AVX512} -mavx512vnni -mavx512bf16 -mamx-tile -mamx-int8 -mamx-bf16)
endif()
