// Calls LLVMFuzzerTestOneInput where there is no libFuzzer: with the files of the folders that are
// given, and with bytes that a generator draws from -seed until -max_total_time is over.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kLongest = 512;

double argument(const char* text, const char* name, double value) {
  const std::size_t length = std::strlen(name);
  return std::strncmp(text, name, length) == 0 ? std::atof(text + length) : value;
}

}  // namespace

int main(int count, char** arguments) {
  double seconds = 10, seed = 0;
  std::vector<std::vector<std::uint8_t>> inputs{{}};
  for (int i = 1; i < count; ++i) {
    seconds = argument(arguments[i], "-max_total_time=", seconds);
    seed = argument(arguments[i], "-seed=", seed);
    if (arguments[i][0] == '-') continue;
    for (const auto& file : std::filesystem::directory_iterator(arguments[i])) {
      std::ifstream stream(file.path(), std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    }
  }
  for (const auto& input : inputs) LLVMFuzzerTestOneInput(input.data(), input.size());
  std::mt19937_64 random(static_cast<std::uint64_t>(seed));
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::size_t runs = inputs.size();
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    std::vector<std::uint8_t> data = inputs[random() % inputs.size()];
    if (random() % 2) data.resize(random() % kLongest);
    for (std::size_t changes = 1 + random() % 16; changes > 0 && !data.empty(); --changes) {
      data[random() % data.size()] = static_cast<std::uint8_t>(random());
    }
    LLVMFuzzerTestOneInput(data.data(), data.size());
  }
  std::printf("%zu inputs\n", runs);
  return 0;
}
