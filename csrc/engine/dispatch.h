// Chooses the instruction set that the CPU engine uses.
#pragma once

#include <string>
#include <vector>

#include "engine/bf16_kernels.h"
#include "engine/bound_kernels.h"
#include "engine/kernels.h"

namespace gru4rec_fast {

// Those that this build has and this processor runs, the fastest first.
std::vector<std::string> instruction_sets();

// The kernels in use: at first the fastest set.
const Kernels& kernels();

// Uses `name`, one of instruction_sets(), from now on, in all threads; throws std::invalid_argument
// for any other.
void use_instruction_set(const std::string& name);

// The same for ranks by bounds: the sets that go with the set in use, whose float32 scores have the
// bits of kernels(). use_instruction_set takes the fastest.
std::vector<std::string> bound_instruction_sets();
const BoundKernels& bound_kernels();
void use_bound_instruction_set(const std::string& name);

// Those that multiply bfloat16 numbers here. `emulated_amx` is for tests.
std::vector<std::string> bf16_instruction_sets();

// What multiplies in a training step of this precision: 'highest', 'high' or 'medium', else
// std::invalid_argument. It is float32 where no set of at least that precision is faster.
Products products_of(const std::string& precision);

// Uses `name`, one of bf16_instruction_sets(), from now on for 'high' and for 'medium', whatever is
// faster; the empty name goes back to the choice. Throws std::invalid_argument for any other.
void use_bf16_instruction_set(const std::string& name);

}  // namespace gru4rec_fast
