// What the processor and the system offer beyond what __builtin_cpu_supports tells everywhere.
#pragma once

namespace gru4rec_fast {

// 256-bit integer dot products without AVX-512.
bool has_avx_vnni();

// Products of bfloat16 numbers by 512 bits.
bool has_avx512_bf16();

// Tiles, of bytes and of bfloat16 numbers. Asks the system for the permission to use them, which
// holds for all threads of the process; false where it refuses.
bool may_use_amx();

}  // namespace gru4rec_fast
