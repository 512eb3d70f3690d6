// The data side and the baselines with arrays and sizes that are made from bytes, as libFuzzer or
// fuzz_loop.cpp give them (`make fuzz`). An exception that is no std::exception, a crash, or a
// report of a sanitizer is a finding.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "baselines/bpr_mf.h"
#include "baselines/item_similarity.h"
#include "baselines/session_knn.h"
#include "data/event_partitions.h"
#include "data/id_numbering.h"
#include "data/integer_fields.h"
#include "data/lane_scheduler.h"
#include "data/negative_sampler.h"
#include "data/row_merge.h"
#include "data/session_store.h"

namespace {

using namespace gru4rec_fast;

// Takes numbers from the front of a byte string, zeros when it is used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::size_t below(std::size_t n) { return byte() % n; }
  std::int64_t whole() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return static_cast<std::int64_t>(value);
  }
  // Mostly small, sometimes anything of int64 but what only takes much memory.
  std::int64_t number() {
    const std::uint8_t kind = byte();
    if (kind < 224) return kind % 24 - 4;
    const std::int64_t large = whole();
    return large >= 0 && large < (std::int64_t{1} << 40) ? large % 4096 : large;
  }
  template <class T>
  std::vector<T> array(std::size_t n) {
    std::vector<T> values(n);
    for (T& value : values) {
      const std::uint8_t b = byte();
      value = static_cast<T>(b < 250 ? b % 20 - 3 : whole());
    }
    return values;
  }
  // 0 to the number of events in n steps, or anything.
  std::vector<std::int64_t> offsets(std::size_t n, std::size_t events) {
    if (byte() % 4 == 0) return array<std::int64_t>(n + 1);
    std::vector<std::int64_t> found(n + 1);
    for (std::size_t s = 0; s <= n; ++s) {
      found[s] = static_cast<std::int64_t>(n == 0 ? events : s * events / n);
    }
    found[0] = 0;
    return found;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

template <class T>
Span<T> span(const std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size())};
}

void lanes(Bytes& b) {
  const std::size_t n = b.below(8), events = b.below(24);
  const auto items = b.array<std::int32_t>(events);
  const auto offsets = b.offsets(n, events);
  const auto order = b.array<std::int64_t>(b.below(12));
  const bool computed = b.byte() % 3 == 0;
  const auto n_lanes = b.number(), min_live = b.number();
  const SessionPermutation permutation(static_cast<std::int64_t>(b.below(12)), 3, 1);
  LaneScheduler scheduler =
      computed ? LaneScheduler(span(items), span(offsets), permutation, n_lanes, min_live)
               : LaneScheduler(span(items), span(offsets), span(order), n_lanes, min_live);
  for (int i = 0; i < 4; ++i) {
    try {
      const LaneBlock block = scheduler.plan(std::min<std::int64_t>(b.number(), 50));
      const std::int64_t samples = static_cast<std::int64_t>(b.below(4));
      const auto negatives =
          b.array<std::int32_t>(static_cast<std::size_t>(samples) * block.live.size());
      merge_rows(span(block.inputs), span(block.targets), span(block.live), span(negatives),
                 block.lanes, samples);
    } catch (const std::exception&) {  // and go on, as nobody should
    }
  }
}

void store(Bytes& b) {
  const std::size_t n = b.below(24);
  auto session = b.array<std::int64_t>(n);
  if (b.byte() % 2) {
    for (std::int64_t& s : session) s &= 3;
  }
  const SessionStore made(span(session), span(b.array<std::int32_t>(n)),
                          span(b.array<std::int64_t>(n)), b.number());
  made.order_by_time();
  made.order_by_appearance();
}

void merge(Bytes& b) {
  const std::size_t t = b.below(4), n = b.below(5), s = b.below(6);
  const auto inputs = b.array<std::int32_t>(t * n), targets = b.array<std::int32_t>(t * n);
  const auto live = b.array<std::int32_t>(t), negatives = b.array<std::int32_t>(t * s);
  merge_rows(span(inputs), span(targets), span(live), span(negatives), static_cast<std::int64_t>(n),
             static_cast<std::int64_t>(s));
}

void numberings(Bytes& b) {
  IntegerNumbering integers;
  TextNumbering texts;
  for (int i = 0; i < 3; ++i) {
    integers.number(span(b.array<std::int64_t>(b.below(20))));
    const auto offsets = b.array<std::int64_t>(b.below(8));
    const auto bytes = b.array<std::uint8_t>(b.below(24));
    texts.number(span(offsets), span(bytes));
  }
  texts.sorted();
}

void partitions(Bytes& b) {
  static const std::string folder = [] {
    std::string name = (std::filesystem::temp_directory_path() / "data-fuzz-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }();
  {
    EventPartitions parts(folder, b.number() % (1 << 20) * 16);
    try {
      for (std::size_t i = b.below(4); i > 0; --i) {
        const std::size_t n = b.below(40);
        const auto session = b.array<std::int64_t>(n), time = b.array<std::int64_t>(n);
        parts.add(span(session), span(b.array<std::int32_t>(n)), span(time));
      }
      if (b.byte() % 4 == 0) parts.relabel(span(b.array<std::int64_t>(30)));
      while (!parts.next().session.empty()) {
      }
    } catch (const std::exception&) {
    }
  }
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::filesystem::remove(file.path());
  }
}

void fields(Bytes& b) {
  const std::int64_t n = 1 + static_cast<std::int64_t>(b.below(4));
  std::vector<std::int64_t> columns;
  for (std::size_t i = b.below(3); i > 0; --i) {
    columns.push_back(static_cast<std::int64_t>(b.below(static_cast<std::size_t>(n))));
  }
  const auto time = static_cast<std::int64_t>(b.below(static_cast<std::size_t>(n + 1))) - 1;
  static const char alphabet[] = "0123456789,,\n\r.-\"x";
  std::vector<std::uint8_t> text(b.below(64));
  for (std::uint8_t& c : text) c = static_cast<std::uint8_t>(alphabet[b.below(18)]);
  read_integer_fields(span(text), b.byte() % 2 ? ',' : '\t', columns, time, n);
}

void negatives(Bytes& b) {
  std::vector<double> weights;
  for (const std::int64_t w : b.array<std::int64_t>(b.below(20))) {
    weights.push_back(static_cast<double>(w) / 3);
  }
  const NegativeSampler sampler(span(weights));
  sampler.probabilities();
  for (const std::int32_t item : sampler.draw(7, 1, b.number() % 8, b.number() % 64)) {
    if (item < 0 || static_cast<std::size_t>(item) >= weights.size()) std::abort();
  }
}

void baselines(Bytes& b) {
  const std::size_t n = b.below(6);
  const auto items = b.array<std::int32_t>(b.below(20));
  const auto offsets = b.offsets(n, items.size());
  const auto n_items = std::min<std::int64_t>(b.number(), 1000);
  std::vector<std::int64_t> order = b.array<std::int64_t>(n);
  if (b.byte() % 4) {
    for (std::size_t s = 0; s < n; ++s) order[s] = static_cast<std::int64_t>(s);
  }
  const SessionIndex index(span(items), span(offsets), span(order), n_items, INT32_MAX);
  similar_items(index, b.number(), 20.0, 0.5);
  std::vector<float> sessions(3 * n), table(3 * static_cast<std::size_t>(n_items));
  train_bpr_mf(index, sessions.data(), table.data(), {3, 1, 0.1f, 0.0f, 0});
  SessionKnn knn(span(items), span(offsets), span(order), n_items,
                 {b.byte() % 2 ? Similarity::kCosine : Similarity::kDecay, true, true, b.number(),
                  b.number()});
  const std::size_t rows = b.below(4), length = 1 + b.below(4);
  const auto asked = b.array<std::int32_t>(rows * length);
  const auto targets = b.array<std::int64_t>(rows);
  const auto L = static_cast<std::int64_t>(length);
  knn.rank_counts(span(asked), L, span(targets));
  knn.item_scores(span(asked), L, span(targets));
  knn.top_k(span(asked), L, static_cast<std::int64_t>(b.below(24)));
}

constexpr void (*kEntries[])(Bytes&) = {lanes,      store,  merge,     numberings,
                                        partitions, fields, negatives, baselines};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  try {
    kEntries[bytes.below(std::size(kEntries))](bytes);
  } catch (const std::exception&) {
  }
  return 0;
}
