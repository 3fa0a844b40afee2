// Rows times a matrix of 4 or 8 bits. Rows are rounded to 8 bits in groups of 32 columns, so that a group's
// products add up exactly in integers. `packing.py` says how a matrix lies in memory.

#pragma once

#include <array>
#include <memory>
#include <utility>

#include "lanes.h"
#include "team.h"

namespace {

constexpr int64_t kGroup = 32;       // columns that share a scale
constexpr int64_t kTile = 16;        // matrix rows that lie side by side
constexpr int64_t kInt4Block = 288;  // bytes: 16 x 32 codes of 4 bits, 16 scales, 16 zeros
constexpr int64_t kInt8Block = 512;  // bytes: 16 x 32 codes, with 128 added to each

template <typename Number>
std::unique_ptr<Number[]> make_room(int64_t size) {
  return std::make_unique_for_overwrite<Number[]>(size);
}

// Rows of 8-bit codes; a value is code * scale of its group.
struct Rounded {
  int64_t columns, groups;
  std::unique_ptr<int8_t[]> codes;   // (rows, columns)
  std::unique_ptr<float[]> scales;   // (rows, groups)
  std::unique_ptr<int32_t[]> sums;   // (rows, groups): of the group's codes, times -128
  std::unique_ptr<float[]> zeros;    // (rows, groups): what a matrix's zero adds: their sum, times -scale / 16

  Rounded(int64_t rows, int64_t columns)
      : columns(columns), groups(columns / kGroup), codes(make_room<int8_t>(rows * columns)),
        scales(make_room<float>(rows * groups)), sums(make_room<int32_t>(rows * groups)),
        zeros(make_room<float>(rows * groups)) {}

  // Round the 32 numbers of a group, counted through all rows.
  void round(const float* x, int64_t group) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256 parts[4];
    // As integers, magnitudes have the same order, and what is not finite is above all others and stays.
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {
      parts[i] = _mm256_loadu_ps(x + 8 * i);
      most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(parts[i]), magnitude));
    }
    __m128i largest = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    largest = _mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0x4e));
    largest = _mm_max_epi32(largest, _mm_shuffle_epi32(largest, 0xb1));
    const float top = _mm_cvtss_f32(_mm_castsi128_ps(largest));
    const __m256 inverse = _mm256_set1_ps(top > 0 ? 127 / top : 0);
    __m256i steps[4];
    for (int i = 0; i < 4; ++i) steps[i] = _mm256_cvtps_epi32(_mm256_mul_ps(parts[i], inverse));
    const __m256i low = _mm256_packs_epi32(steps[0], steps[1]), high = _mm256_packs_epi32(steps[2], steps[3]);
    // Packing works in halves of a vector: the words of four codes are put in order afterwards.
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i all_codes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes.get() + group * kGroup), all_codes);
    const __m256i sum =
        _mm256_add_epi32(_mm256_add_epi32(steps[0], steps[1]), _mm256_add_epi32(steps[2], steps[3]));
    __m128i total = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    total = _mm_add_epi32(total, _mm_shuffle_epi32(total, 0x4e));
    total = _mm_add_epi32(total, _mm_shuffle_epi32(total, 0xb1));
    const int32_t codes_sum = _mm_cvtsi128_si32(total);
    scales[group] = top / 127;
    sums[group] = -128 * codes_sum;
    zeros[group] = scales[group] / -16 * static_cast<float>(codes_sum);
  }
};

// A matrix as `packing.py` has packed it.
struct Matrix {
  const uint8_t* packed;  // (tiles, groups) of blocks
  const float* scales;    // (16 tiles,)
  int64_t tiles, groups;
  bool is_int8;

  int64_t rows() const { return tiles * kTile; }
};

// Where a tile's results go: (rows, stride), 16 of each row.
struct Target {
  float* out;
  int64_t stride;
  bool adds;  // to what is there

  void put(int64_t row, int64_t part, Floats result) const {
    float* place = out + row * stride + part;
    store(place, adds ? add(load_floats(place), result) : result);
  }
};

constexpr int64_t kManyRows = 16;  // rows of x from which on memory is not waited for

// Asks for the memory of the next tile while one is computed, so that memory is never idle: some of it with each
// group, until it has all. Processors fetch ahead by themselves, but only while something new is read.
struct Ahead {
  const uint8_t *next, *end;

  // Called for each group of each part of a tile whose blocks have so many bytes.
  template <int64_t kBlockBytes, bool kFetches>
  void fetch() {
    if (!kFetches || next >= end) return;
    constexpr int64_t bytes = kBlockBytes * kLanes / kTile;
    for (int64_t byte = 0; byte < bytes; byte += 64)
      _mm_prefetch(reinterpret_cast<const char*>(next + byte), _MM_HINT_T1);
    next += bytes;
  }
};

// How many of so many rows are multiplied at once.
inline int64_t choose_block(int64_t rows) {
  if (rows > kManyRows) return kRowsOfMany;
  const int64_t blocks = (rows + kMostRows - 1) / kMostRows;
  return (rows + blocks - 1) / blocks;  // even ones: a block of one row takes as long as two
}

// Few rows add up in two chains each, or the processor would wait for one sum before the next.
template <int kRows>
constexpr int kChains = kRows < 4 ? 2 : 1;

// Add up the products of a group's codes of 4 bits, for each of kRows rows of x, and begin with none.
template <int kRows>
[[gnu::always_inline]] inline void multiply_halves(const uint8_t* packed, const int8_t* codes, int64_t columns,
                                                   Ints (&dots)[kRows][kChains<kRows>]) {
  constexpr int chains = kChains<kRows>;
  for (int m = 0; m < kRows; ++m)
    for (int c = 0; c < chains; ++c) dots[m][c] = no_ints();
  for (int64_t j = 0; j < 4; ++j) {
    const Ints w = load(packed + 64 * j), low = low_half(w), high = high_half(w);
    for (int m = 0; m < kRows; ++m) {
      const int8_t* own = codes + m * columns + 4 * j;
      dots[m][0] = add_products(dots[m][0], low, four(own));
      dots[m][chains - 1] = add_products(dots[m][chains - 1], high, four(own + 16));
    }
  }
  if constexpr (chains == 2)
    for (int m = 0; m < kRows; ++m) dots[m][0] = add_partial(dots[m][0], dots[m][1]);
}

// 16 rows of an int4 matrix with their scales, times kRows rows from `row` on.
template <int kRows, bool kFetches>
void int4_tile(const uint8_t* packed, const float* by, const Rounded& x, int64_t row, const Target& target,
               Ahead& tile_ahead) {
  Ahead ahead = tile_ahead;
  const int8_t* codes = x.codes.get() + row * x.columns;
  const float* scales = x.scales.get() + row * x.groups;
  const float* zeros = x.zeros.get() + row * x.groups;
  for (int64_t part = 0; part < kTile; part += kLanes) {
    Floats result[kRows];
    for (int m = 0; m < kRows; ++m) result[m] = no_floats();
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* block = packed + g * kInt4Block;
      ahead.fetch<kInt4Block, kFetches>();
      Ints dots[kRows][kChains<kRows>];
      multiply_halves<kRows>(block + 4 * part, codes + g * kGroup, x.columns, dots);
      const Floats scale = bytes(block + 256 + part), zero = bytes(block + 272 + part);
      for (int m = 0; m < kRows; ++m) {
        const Floats dot = to_floats(total_products(dots[m][0]));
        const Floats scaled = multiply(dot, all(scales[m * x.groups + g]));
        result[m] = fma(scale, fma(zero, all(zeros[m * x.groups + g]), scaled), result[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) target.put(row + m, part, multiply(result[m], load_floats(by + part)));
  }
  tile_ahead = ahead;
}

// The same of an int8 matrix.
template <int kRows, bool kFetches>
void int8_tile(const uint8_t* packed, const float* by, const Rounded& x, int64_t row, const Target& target,
               Ahead& tile_ahead) {
  Ahead ahead = tile_ahead;
  constexpr int chains = kChains<kRows>;
  const int8_t* codes = x.codes.get() + row * x.columns;
  const float* scales = x.scales.get() + row * x.groups;
  for (int64_t part = 0; part < kTile; part += kLanes) {
    Floats result[kRows];
    for (int m = 0; m < kRows; ++m) result[m] = no_floats();
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* block = packed + g * kInt8Block;
      ahead.fetch<kInt8Block, kFetches>();
      Ints dots[kRows][chains];
      for (int m = 0; m < kRows; ++m) {
        dots[m][chains - 1] = no_ints();
        dots[m][0] = kHasOffset ? all_ints(x.sums[(row + m) * x.groups + g]) : no_ints();
      }
      for (int64_t j = 0; j < 8; ++j) {
        const Ints w = take_codes(load(block + 64 * j + 4 * part));
        for (int m = 0; m < kRows; ++m) {
          const int8_t* own = codes + m * x.columns + g * kGroup + 4 * j;
          dots[m][j % chains] = dot_signed(dots[m][j % chains], w, four(own));
        }
      }
      for (int m = 0; m < kRows; ++m) {
        if constexpr (chains == 2) dots[m][0] = add(dots[m][0], dots[m][1]);
        result[m] = fma(to_floats(dots[m][0]), all(scales[m * x.groups + g]), result[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) target.put(row + m, part, multiply(result[m], load_floats(by + part)));
  }
  tile_ahead = ahead;
}

using Tile = void (*)(const uint8_t*, const float*, const Rounded&, int64_t, const Target&, Ahead&);
using Tiles = std::array<Tile, kMostRows>;  // for 1, 2, ... rows

template <bool kFetches, int... kBefore>
constexpr Tiles list_tiles(bool is_int8, std::integer_sequence<int, kBefore...>) {
  return is_int8 ? Tiles{int8_tile<kBefore + 1, kFetches>...} : Tiles{int4_tile<kBefore + 1, kFetches>...};
}

// A member's share of x (rows, columns) times a matrix.
void multiply(const Member& me, const Rounded& x, int64_t rows, const Matrix& matrix, const Target& target) {
  constexpr auto counts = std::make_integer_sequence<int, kMostRows>{};
  static constexpr Tiles few[] = {list_tiles<true>(false, counts), list_tiles<true>(true, counts)};
  static constexpr Tiles many[] = {list_tiles<false>(false, counts), list_tiles<false>(true, counts)};
  const Tiles& tiles = (rows > kManyRows ? many : few)[matrix.is_int8];
  const int64_t block = choose_block(rows), bytes = matrix.groups * (matrix.is_int8 ? kInt8Block : kInt4Block);
  for (int64_t t = me.begin(matrix.tiles); t < me.end(matrix.tiles); ++t) {
    const Target own{target.out + t * kTile, target.stride, target.adds};
    const uint8_t* packed = matrix.packed + t * bytes;
    Ahead ahead{packed + bytes, packed + 2 * bytes};
    for (int64_t row = 0; row < rows; row += block) {
      const int64_t some = std::min(block, rows - row);
      tiles[some - 1](packed, matrix.scales + t * kTile, x, row, own, ahead);
    }
  }
}

}  // namespace
