#include "engine/bound_kernels.h"
#include "isa/bounds/rank_counts.h"
#include "isa/bounds/round_items.h"
#include "isa/bounds/top_k.h"

#define GRU4REC_FAST_STRING_(x) #x
#define GRU4REC_FAST_STRING(x) GRU4REC_FAST_STRING_(x)

namespace gru4rec_fast::GRU4REC_FAST_ISA {

const BoundKernels bound_kernels = {GRU4REC_FAST_STRING(GRU4REC_FAST_ISA), round_items,
                                    bounded_rank_counts, bounded_top_k};

}  // namespace gru4rec_fast::GRU4REC_FAST_ISA
