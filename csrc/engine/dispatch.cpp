#include "engine/dispatch.h"

#include <atomic>
#include <stdexcept>

#include "engine/processor.h"

namespace gru4rec_fast {
namespace {

// Kernels of ranks by bounds beside the set whose float32 scores they have.
struct Choice {
  const Kernels* set;
  const BoundKernels* bounds;
};

// The fastest first.
std::vector<Choice> find_choices() {
  std::vector<Choice> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    [[maybe_unused]] const bool vnni = __builtin_cpu_supports("avx512vnni");
#if defined(GRU4REC_FAST_HAS_amx)
    if (vnni && has_avx512_bf16() && may_use_amx())
      found.push_back({&avx512::kernels, &amx::bound_kernels});
#endif
#if defined(GRU4REC_FAST_HAS_avx512vnni)
    if (vnni) found.push_back({&avx512::kernels, &avx512vnni::bound_kernels});
#endif
    found.push_back({&avx512::kernels, &avx512::bound_kernels});
  }
  if (avx2) {
#if defined(GRU4REC_FAST_HAS_avxvnni)
    if (has_avx_vnni()) found.push_back({&avx2::kernels, &avxvnni::bound_kernels});
#endif
    found.push_back({&avx2::kernels, &avx2::bound_kernels});
  }
#endif
  found.push_back({&baseline::kernels, &baseline::bound_kernels});
  found.push_back({&baseline::kernels, &emulated_amx::bound_kernels});
  return found;
}

const std::vector<Choice>& choices() {
  static const std::vector<Choice> found = find_choices();
  return found;
}

// Kernels of bfloat16 products, and whether they are faster than float32 with so many parts.
struct Bf16Choice {
  const Bf16Kernels* kernels;
  bool one_part, two_parts;
};

// The fastest first.
std::vector<Bf16Choice> find_bf16_choices() {
  std::vector<Bf16Choice> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  [[maybe_unused]] const bool bf16 = avx512 && has_avx512_bf16();
#if defined(GRU4REC_FAST_HAS_amx)
  if (bf16 && __builtin_cpu_supports("avx512vnni") && may_use_amx()) {
    found.push_back({&amx::bf16_kernels, true, true});
  }
#endif
#if defined(GRU4REC_FAST_HAS_avx512bf16)
  // Three products at twice the rate take longer than one in float32.
  if (bf16) found.push_back({&avx512bf16::bf16_kernels, true, false});
#endif
#endif
  found.push_back({&emulated_amx::bf16_kernels, false, false});
  return found;
}

const std::vector<Bf16Choice>& bf16_choices() {
  static const std::vector<Bf16Choice> found = find_bf16_choices();
  return found;
}

// Null for the choice by speed.
std::atomic<const Bf16Kernels*>& chosen_bf16() {
  static std::atomic<const Bf16Kernels*> choice{nullptr};
  return choice;
}

std::atomic<const Choice*>& chosen() {
  static std::atomic<const Choice*> choice{choices().data()};
  return choice;
}

[[noreturn]] void refuse(const char* what, const std::string& name,
                         const std::vector<std::string>& known) {
  std::string message = std::string(what) + " '" + name + "' is not available; expected one of ";
  for (std::size_t i = 0; i < known.size(); ++i) message += (i == 0 ? "" : ", ") + known[i];
  throw std::invalid_argument(message);
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Choice& choice : choices()) {
    if (names.empty() || names.back() != choice.set->name) names.emplace_back(choice.set->name);
  }
  return names;
}

std::vector<std::string> bound_instruction_sets() {
  std::vector<std::string> names;
  for (const Choice& choice : choices()) {
    if (choice.set == &kernels()) names.emplace_back(choice.bounds->name);
  }
  return names;
}

const Kernels& kernels() {
  return *chosen().load()->set;
}

const BoundKernels& bound_kernels() {
  return *chosen().load()->bounds;
}

void use_instruction_set(const std::string& name) {
  for (const Choice& choice : choices()) {
    if (name == choice.set->name) {
      chosen() = &choice;
      return;
    }
  }
  refuse("instruction set", name, instruction_sets());
}

void use_bound_instruction_set(const std::string& name) {
  for (const Choice& choice : choices()) {
    if (choice.set == &kernels() && name == choice.bounds->name) {
      chosen() = &choice;
      return;
    }
  }
  refuse("instruction set of ranks by bounds", name, bound_instruction_sets());
}

std::vector<std::string> bf16_instruction_sets() {
  std::vector<std::string> names;
  for (const Bf16Choice& choice : bf16_choices()) names.emplace_back(choice.kernels->name);
  return names;
}

Products products_of(const std::string& precision) {
  if (precision == "highest") return {};
  if (precision != "high" && precision != "medium") {
    refuse("precision", precision, {"highest", "high", "medium"});
  }
  const int parts = precision == "high" ? 2 : 1;
  if (const Bf16Kernels* kernels = chosen_bf16().load(); kernels != nullptr) {
    return {kernels, parts};
  }
  for (const Bf16Choice& choice : bf16_choices()) {
    if (parts == 1 ? choice.one_part : choice.two_parts) return {choice.kernels, parts};
  }
  return {};
}

void use_bf16_instruction_set(const std::string& name) {
  if (name.empty()) {
    chosen_bf16() = nullptr;
    return;
  }
  for (const Bf16Choice& choice : bf16_choices()) {
    if (name == choice.kernels->name) {
      chosen_bf16() = choice.kernels;
      return;
    }
  }
  refuse("instruction set of bfloat16 products", name, bf16_instruction_sets());
}

}  // namespace gru4rec_fast
