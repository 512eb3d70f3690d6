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
    if (vnni && may_use_amx()) found.push_back({&avx512::kernels, &amx::bound_kernels});
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

}  // namespace gru4rec_fast
