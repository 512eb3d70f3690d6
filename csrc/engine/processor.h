// What the processor and the system offer beyond what __builtin_cpu_supports tells everywhere.
#pragma once

namespace gru4rec_fast {

// 256-bit integer dot products without AVX-512.
bool has_avx_vnni();

// Tiles of bytes. Asks the system for the permission to use them, which holds for all threads of
// the process; false where it refuses.
bool may_use_amx();

}  // namespace gru4rec_fast
