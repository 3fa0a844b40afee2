// Attention over a cache of slots, in which each key head of a slot has its positions one after another.

#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>

#include "lanes.h"

namespace {

constexpr int64_t kMostHeads = kLanes == 16 ? 4 : 3;  // at once: more would not fit into the registers

// Queries of some heads, and keys and values of the head that they share, up to the queries' position.
struct Sight {
  const float* queries;        // (heads, size)
  const at::BFloat16* keys;    // (positions, size)
  const at::BFloat16* values;  // (positions, size)
  int64_t positions, size;
  float* scores;               // (heads, stride): room for all positions and a vector more
  int64_t stride;
  const at::BFloat16* next_keys;  // as many, which are read next, by another
};

void rotate(const float* x, const float* cosine, const float* sine, int64_t size, float* out) {
  const int64_t half = size / 2;
  for (int64_t i = 0; i < half; ++i) {
    out[i] = x[i] * cosine[i] - x[i + half] * sine[i];
    out[i + half] = x[i + half] * cosine[i + half] + x[i] * sine[i + half];
  }
}

template <int kHeads>
void score(const Sight& sight) {
  const float scale = 1 / std::sqrt(static_cast<float>(sight.size));
  for (int64_t t = 0; t < sight.positions; t += 4) {
    const at::BFloat16* keys[4];
    for (int k = 0; k < 4; ++k) keys[k] = sight.keys + std::min(t + k, sight.positions - 1) * sight.size;
    for (int64_t i = 0; i < 4 * sight.size; i += 32)  // the values are read next
      _mm_prefetch(reinterpret_cast<const char*>(sight.values + t * sight.size + i), _MM_HINT_T0);
    Floats dots[kHeads][4];
    for (int h = 0; h < kHeads; ++h)
      for (int k = 0; k < 4; ++k) dots[h][k] = no_floats();
    for (int64_t i = 0; i < sight.size; i += kLanes)
      for (int k = 0; k < 4; ++k) {
        const Floats part = bf16(keys[k] + i);
        for (int h = 0; h < kHeads; ++h)
          dots[h][k] = fma(load_floats(sight.queries + h * sight.size + i), part, dots[h][k]);
      }
    for (int h = 0; h < kHeads; ++h) {
      const __m128 four = totals(dots[h][0], dots[h][1], dots[h][2], dots[h][3]);
      _mm_storeu_ps(sight.scores + h * sight.stride + t, _mm_mul_ps(four, _mm_set1_ps(scale)));
    }
  }
}

// Turn a head's scores into weights that add up to what is returned.
float weigh(float* scores, int64_t positions) {
  float most = scores[0];
  for (int64_t t = 1; t < positions; ++t) most = std::max(most, scores[t]);
  for (int64_t t = positions; t < positions + kLanes; ++t) scores[t] = -INFINITY;
  for (int64_t t = 0; t < positions; t += kLanes)
    store(scores + t, exp_negative(add(load_floats(scores + t), all(-most))));
  for (int64_t t = positions; t < positions + kLanes; ++t) scores[t] = 0;
  Floats sum = no_floats();
  for (int64_t t = 0; t < positions; t += kLanes) sum = add(sum, load_floats(scores + t));
  return total(sum);
}

// The weighted mean of kParts vectors of the values, from `begin` on.
template <int kHeads, int kParts>
void mix(const Sight& sight, int64_t begin, const float* sums, float* out) {
  Floats mixed[kHeads][kParts];
  for (int h = 0; h < kHeads; ++h)
    for (int c = 0; c < kParts; ++c) mixed[h][c] = no_floats();
  for (int64_t t = 0; t < sight.positions; ++t) {
    if (begin == 0)
      for (int64_t i = 0; i < sight.size; i += 32)
        _mm_prefetch(reinterpret_cast<const char*>(sight.next_keys + t * sight.size + i), _MM_HINT_T0);
    Floats weights[kHeads];
    for (int h = 0; h < kHeads; ++h) weights[h] = all(sight.scores[h * sight.stride + t]);
    for (int c = 0; c < kParts; ++c) {
      const Floats part = bf16(sight.values + t * sight.size + begin + c * kLanes);
      for (int h = 0; h < kHeads; ++h) mixed[h][c] = fma(weights[h], part, mixed[h][c]);
    }
  }
  for (int h = 0; h < kHeads; ++h)
    for (int c = 0; c < kParts; ++c)
      store(out + h * sight.size + begin + c * kLanes, multiply(mixed[h][c], all(1 / sums[h])));
}

template <int kHeads>
void attend_heads(const Sight& sight, float* out) {
  score<kHeads>(sight);
  float sums[kHeads];
  for (int h = 0; h < kHeads; ++h) sums[h] = weigh(sight.scores + h * sight.stride, sight.positions);
  int64_t i = 0;
  for (; i + 4 * kLanes <= sight.size; i += 4 * kLanes) mix<kHeads, 4>(sight, i, sums, out);
  for (; i < sight.size; i += 2 * kLanes) mix<kHeads, 2>(sight, i, sums, out);
}

// (heads, size) into `out`, by at most kMostHeads heads.
void attend(const Sight& sight, int64_t heads, float* out) {
  switch (heads) {
    case 1: return attend_heads<1>(sight, out);
    case 2: return attend_heads<2>(sight, out);
    case 3: return attend_heads<3>(sight, out);
    default: return attend_heads<kMostHeads>(sight, out);
  }
}

}  // namespace
