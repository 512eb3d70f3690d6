#include "engine/dispatch.h"

#include <atomic>
#include <stdexcept>

namespace gru4rec_fast {
namespace {

std::vector<const Kernels*> supported() {
  std::vector<const Kernels*> sets;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&avx512::kernels);
  }
  if (avx2) sets.push_back(&avx2::kernels);
#endif
  sets.push_back(&baseline::kernels);
  return sets;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{supported().front()};
  return kernels;
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* set : supported()) names.emplace_back(set->name);
  return names;
}

const Kernels& kernels() {
  return *chosen().load();
}

void use_instruction_set(const std::string& name) {
  std::string known;
  for (const Kernels* set : supported()) {
    if (name == set->name) {
      chosen() = set;
      return;
    }
    known += std::string(known.empty() ? "" : ", ") + set->name;
  }
  throw std::invalid_argument("instruction set '" + name + "' is not available; expected one of " +
                              known);
}

}  // namespace gru4rec_fast
