# The CPU engine: its kernels once for each instruction set, and what chooses among them.
find_package(Threads REQUIRED)

set(KERNEL_SOURCES
  csrc/gru_reset_after.cpp
  csrc/gru_reset_before.cpp
  csrc/gru_step.cpp
  csrc/kernels.cpp
  csrc/sampled_loss.cpp
  csrc/sparse_adagrad.cpp
  csrc/target_rank.cpp
  csrc/top_k.cpp
  csrc/training_step.cpp)

add_library(engine STATIC csrc/buffer.cpp csrc/dispatch.cpp csrc/team.cpp)
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
