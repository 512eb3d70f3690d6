// A hint that a cache line will be read soon.
#pragma once

// A macro, since GCC 12 takes a function that only prefetches for one without effect and drops the
// call.
#if defined(__GNUC__) || defined(__clang__)
#define GRU4REC_FAST_PREFETCH(address) __builtin_prefetch(address)
#else
#define GRU4REC_FAST_PREFETCH(address) static_cast<void>(address)
#endif
