// Logits: rows times the head, a matrix of 8 bits. The upper halves of its codes give every token's logit but
// for a rest; the lower halves, which give the rest, are read only of tokens that are likely. `packing.py` says
// how both lie in memory.

#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "drawing.h"
#include "products.h"

namespace {

constexpr int64_t kHalfBlock = 256;  // bytes: 16 x 32 halves of codes
constexpr int64_t kHalfGroup = 16;   // bytes: a token's 32 lower halves
constexpr float kMiddle = 7.5f;      // of a lower half: it stands for those that are not read
constexpr float kDeviation = 4.61f;  // of lower halves from it: the root of (16^2 - 1) / 12

// A token is likely with e^-10 of the best one's likelihood, where that is between 6 and 12 deviations of the
// rest.
constexpr float kMargin = 10, kLeastDeviations = 6, kMostDeviations = 12;

struct Head {
  const uint8_t* upper;  // (tiles, groups) of half blocks
  const uint8_t* lower;  // (tokens, groups) of half groups
  const float* scales;   // (tokens,)
  int64_t tiles, groups, tokens;

  int64_t rows() const { return tiles * kTile; }
};

// What logits of a row need beside products.
struct RowTotals {
  float sum;   // of its rounded values
  float norm;  // their length as a vector
};

RowTotals add_up(const Rounded& x, int64_t row) {
  float sum = 0, squares = 0;
  for (int64_t g = row * x.groups; g < (row + 1) * x.groups; ++g) {
    int32_t own_squares = 0;
    for (int64_t i = g * kGroup; i < (g + 1) * kGroup; ++i) own_squares += x.codes[i] * x.codes[i];
    sum += x.scales[g] * static_cast<float>(x.sums[g] / -128);
    squares += x.scales[g] * x.scales[g] * static_cast<float>(own_squares);
  }
  return {sum, std::sqrt(squares)};
}

// 16 tokens' logits by the upper halves, for kRows rows from `row` on.
template <int kRows>
void upper_tile(const uint8_t* packed, const float* by, const Rounded& x, int64_t row,
                const RowTotals* totals, const Target& target, Ahead& tile_ahead) {
  Ahead ahead = tile_ahead;
  const int8_t* codes = x.codes.get() + row * x.columns;
  const float* scales = x.scales.get() + row * x.groups;
  for (int64_t part = 0; part < kTile; part += kLanes) {
    Floats result[kRows];
    // A code is 16 * upper + lower - 128.
    for (int m = 0; m < kRows; ++m) result[m] = all((kMiddle - 128) / 16 * totals[row + m].sum);
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* block = packed + g * kHalfBlock;
      ahead.fetch<kHalfBlock, true>();
      Ints dots[kRows][kChains<kRows>];
      multiply_halves<kRows>(block + 4 * part, codes + g * kGroup, x.columns, dots);
      for (int m = 0; m < kRows; ++m)
        result[m] = fma(to_floats(total_products(dots[m][0])), all(scales[m * x.groups + g]), result[m]);
    }
    const Floats scale = multiply(load_floats(by + part), all(16));
    for (int m = 0; m < kRows; ++m) target.put(row + m, part, multiply(result[m], scale));
  }
  tile_ahead = ahead;
}

// What a token's lower halves add to its logit.
float find_rest(const Head& head, int64_t token, const Rounded& x, int64_t row, const RowTotals& totals) {
  const uint8_t* packed = head.lower + token * head.groups * kHalfGroup;
  const int8_t* codes = x.codes.get() + row * x.columns;
  const float* scales = x.scales.get() + row * x.groups;
  __m256 sum = _mm256_setzero_ps();
  for (int64_t g = 0; g < head.groups; ++g) {
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + g * kHalfGroup));
    const __m256i bytes = _mm256_set_m128i(_mm_srli_epi16(both, 4), both);
    const __m256i halves = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    const __m256i own = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + g * kGroup));
    const __m256i dots = _mm256_madd_epi16(_mm256_maddubs_epi16(halves, own), _mm256_set1_epi16(1));
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_set1_ps(scales[g]), sum);
  }
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  four = _mm_add_ss(four, _mm_shuffle_ps(four, four, 1));
  return head.scales[token] * (_mm_cvtss_f32(four) - kMiddle * totals.sum);
}

// The least logit of a row at which a token is likely; NaN where logits are no numbers.
float find_least(const Head& head, const float* logits, const RowTotals& totals) {
  const float best = find_largest(logits, head.tokens);
  int64_t token = 0;
  while (token + kLanes < head.tokens && where_at_least(load_floats(logits + token), best) == 0)
    token += kLanes;
  while (token + 1 < head.tokens && logits[token] < best) ++token;
  const float deviation = kDeviation * head.scales[token] * totals.norm;
  return best - std::clamp(kMargin, kLeastDeviations * deviation, kMostDeviations * deviation);
}

using UpperTile = void (*)(const uint8_t*, const float*, const Rounded&, int64_t, const RowTotals*,
                           const Target&, Ahead&);

template <int... kBefore>
constexpr std::array<UpperTile, kMostRows> list_upper_tiles(std::integer_sequence<int, kBefore...>) {
  return {upper_tile<kBefore + 1>...};
}

// Add the rest to the logits (head.rows(),) of a row's likely tokens, of those in a tile.
void finish_tile(const Head& head, int64_t tile, const Rounded& x, int64_t row, const RowTotals& totals,
                 float least, float* logits) {
  const int64_t first = tile * kTile, end = std::min(first + kTile, head.tokens);
  for (int64_t token = first; token < end; token += kLanes) {
    uint32_t likely = where_at_least(load_floats(logits + token), least);
    for (; likely != 0; likely &= likely - 1) {
      const int64_t own = token + std::countr_zero(likely);
      if (own < end) logits[own] += find_rest(head, own, x, row, totals);
    }
  }
}

// A member's share of the logits (rows, head.rows()) of x. `least` is room for a number of each row.
void compute_logits(const Member& me, const Rounded& x, int64_t rows, const Head& head, float* out,
                    float* least) {
  static constexpr auto tiles = list_upper_tiles(std::make_integer_sequence<int, kMostRows>{});
  const int64_t block = choose_block(rows), bytes = head.groups * kHalfBlock;
  std::vector<RowTotals> totals;
  for (int64_t row = 0; row < rows; ++row) totals.push_back(add_up(x, row));
  for (int64_t t = me.begin(head.tiles); t < me.end(head.tiles); ++t) {
    float by[kTile] = {};
    std::copy_n(head.scales + t * kTile, std::min(kTile, head.tokens - t * kTile), by);
    const uint8_t* packed = head.upper + t * bytes;
    Ahead ahead{packed + bytes, packed + 2 * bytes};
    for (int64_t row = 0; row < rows; row += block) {
      const int64_t some = std::min(block, rows - row);
      tiles[some - 1](packed, by, x, row, totals.data(), {out + t * kTile, head.rows(), false}, ahead);
    }
  }
  me.meet();
  for (int64_t row = me.number; row < rows; row += me.count)
    least[row] = find_least(head, out + row * head.rows(), totals[row]);
  me.meet();
  // By turns: tokens that are used often are likely often, and mostly the first.
  for (int64_t t = me.number; t < head.tiles; t += me.count)
    for (int64_t row = 0; row < rows; ++row)
      finish_tile(head, t, x, row, totals[row], least[row], out + row * head.rows());
}

}  // namespace
