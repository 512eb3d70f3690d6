# The CPU engine: its kernels once for each instruction set, and what chooses among them.
find_package(Threads REQUIRED)

set(KERNEL_SOURCES
  ${CMAKE_CURRENT_LIST_DIR}/gru_reset_after.cpp
  ${CMAKE_CURRENT_LIST_DIR}/gru_reset_before.cpp
  ${CMAKE_CURRENT_LIST_DIR}/gru_step.cpp
  ${CMAKE_CURRENT_LIST_DIR}/kernels.cpp
  ${CMAKE_CURRENT_LIST_DIR}/sampled_loss.cpp
  ${CMAKE_CURRENT_LIST_DIR}/score_items.cpp
  ${CMAKE_CURRENT_LIST_DIR}/sparse_adagrad.cpp
  ${CMAKE_CURRENT_LIST_DIR}/target_rank.cpp
  ${CMAKE_CURRENT_LIST_DIR}/top_k.cpp
  ${CMAKE_CURRENT_LIST_DIR}/training_step.cpp)

add_library(engine STATIC ${CMAKE_CURRENT_LIST_DIR}/buffer.cpp
  ${CMAKE_CURRENT_LIST_DIR}/dispatch.cpp ${CMAKE_CURRENT_LIST_DIR}/team.cpp)
target_compile_options(engine PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
target_link_libraries(engine PUBLIC Threads::Threads)

# kernels_for(<name> <compiler flags>...): the kernels in namespace <name>. Here contraction into
# fused multiply-adds is wanted.
function(kernels_for name)
  add_library(kernels_${name} OBJECT ${KERNEL_SOURCES})
  target_compile_definitions(kernels_${name} PRIVATE GRU4REC_FAST_ISA=${name})
  target_compile_options(kernels_${name} PRIVATE ${ARGN}
    $<$<CONFIG:Release>:-O3> -ffp-contract=fast -fno-math-errno -fno-trapping-math
    -Wall -Wextra -Wpedantic -Wshadow $<$<BOOL:${GRU4REC_FAST_WERROR}>:-Werror>)
  target_sources(engine PRIVATE $<TARGET_OBJECTS:kernels_${name}>)
endfunction()

kernels_for(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  kernels_for(avx2 -mavx2 -mfma)
  kernels_for(avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma
    -mprefer-vector-width=512)
endif()
