// Python bindings of ranks and best items by bounds.
#include <pybind11/stl.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/item_rows.h"
#include "engine/dispatch.h"
#include "engine/huge_pages.h"

namespace gru4rec_fast {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

class BoundedItems {
 public:
  BoundedItems(const py::array& w, const py::array& b, float bound_factor, int threads)
      : items_(w, b, false), bound_factor_(bound_factor) {
    if (items_.units() > kMostRoundedUnits) {
      throw std::invalid_argument("w has " + std::to_string(items_.units()) +
                                  " columns; expected at most " +
                                  std::to_string(kMostRoundedUnits) + ": use _core.rank_counts");
    }
    rounded_.items = items_.items();
    rounded_.units = items_.units();
    const auto n = static_cast<std::size_t>(rounded_.items);
    const auto bytes = static_cast<std::size_t>(rounded_bytes(rounded_.items, rounded_.units));
    q_.reset(allocate<std::uint8_t>(bytes));
    scale_.reset(allocate<float>(n));
    norms_.reset(allocate<std::uint32_t>(n));
    nbytes_ = bytes + n * (sizeof(float) + sizeof(std::uint32_t));
    // What kernels read past the last row.
    std::fill(q_.get() + rounded_.items * rounded_.units, q_.get() + bytes, std::uint8_t{128});
    rounded_.q = q_.get();
    rounded_.scale = scale_.get();
    rounded_.norms = norms_.get();
    unlocked([&] {
      bound_kernels().round_items(items_.w.w, items_.b.data(), rounded_, thread_count(threads));
    });
  }

  py::tuple rank_counts(const py::array& features, const py::array& targets, int threads) const {
    const auto f = items_.features(features);
    const std::ptrdiff_t rows = f.shape(0);
    const auto target = items_.targets(targets, rows);
    std::vector<std::int64_t> greater(static_cast<std::size_t>(rows)), equal(greater.size());
    ScanStatistics statistics;
    unlocked([&] {
      bound_kernels().rank_counts(catalogue(), f.data(), rows, target.data(), greater.data(),
                                  equal.data(), statistics, thread_count(threads));
    });
    return result(std::move(greater), std::move(equal), {rows}, statistics);
  }

  py::tuple top_k(const py::array& features, std::int64_t k, int threads) const {
    const auto f = items_.features(features);
    const std::ptrdiff_t rows = f.shape(0), best = items_.best(k);
    std::vector<float> scores(static_cast<std::size_t>(rows * best));
    std::vector<std::int64_t> found(scores.size());
    ScanStatistics statistics;
    unlocked([&] {
      if (best == 0) return;
      bound_kernels().top_k(catalogue(), f.data(), rows, best, scores.data(), found.data(),
                            statistics, thread_count(threads));
    });
    return result(std::move(scores), std::move(found), {rows, best}, statistics);
  }

  std::size_t nbytes() const { return nbytes_; }

 private:
  template <class T>
  static T* allocate(std::size_t n) {
    const std::size_t bytes = (n * sizeof(T) + kHugePage - 1) / kHugePage * kHugePage;
    const std::size_t alignment = n * sizeof(T) >= kHugePage ? kHugePage : 64;
    const std::size_t size =
        alignment == kHugePage ? bytes : (n * sizeof(T) + alignment) / alignment * alignment;
    void* const memory = std::aligned_alloc(alignment, size);
    if (memory == nullptr) throw std::bad_alloc();
    advise_huge_pages(memory, size);
    return static_cast<T*>(memory);
  }

  BoundedCatalogue catalogue() const {
    return {&rounded_, items_.w.w, items_.b.data(), bound_factor_};
  }

  template <class T, class U>
  static py::tuple result(std::vector<T> first, std::vector<U> second,
                          std::vector<py::ssize_t> shape, const ScanStatistics& statistics) {
    return py::make_tuple(
        moved(std::move(first), shape), moved(std::move(second), shape),
        py::make_tuple(statistics.undecided, statistics.scored, statistics.pairs));
  }

  ItemRows items_;
  float bound_factor_;
  RoundedItems rounded_;
  std::unique_ptr<std::uint8_t, Free> q_;
  std::unique_ptr<float, Free> scale_;
  std::unique_ptr<std::uint32_t, Free> norms_;
  std::size_t nbytes_ = 0;
};

}  // namespace

void bind_bounded_items(py::module_& m) {
  py::class_<BoundedItems>(m, "BoundedItems")
      .def(py::init<const py::array&, const py::array&, float, int>(), py::arg("w"), py::arg("b"),
           py::kw_only(), py::arg("bound_factor") = 1.0f, py::arg("threads"))
      .def("rank_counts", &BoundedItems::rank_counts, py::arg("features"), py::arg("targets"),
           py::arg("threads"))
      .def("top_k", &BoundedItems::top_k, py::arg("features"), py::arg("k"), py::arg("threads"))
      .def_property_readonly("nbytes", &BoundedItems::nbytes);
  m.def("bound_instruction_sets", [] { return bound_instruction_sets(); });
  m.def("bound_instruction_set", [] { return std::string(bound_kernels().name); });
  m.def("use_bound_instruction_set", &use_bound_instruction_set, py::arg("name"));
}

}  // namespace gru4rec_fast
