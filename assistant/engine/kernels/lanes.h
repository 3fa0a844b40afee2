// Vectors as the kernels name them: 16 lanes with AVX-512 VNNI, 8 with AVX2. Knows no matrix and no model.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)

constexpr int64_t kLanes = 16;
constexpr int kMostRows = 8;       // of x at once: more would not fit into the registers
constexpr int kRowsOfMany = 8;     // of x at once where there are many
constexpr bool kHasOffset = true;  // products are of codes with 128 added: sums begin with what takes that back
using Ints = __m512i;
using Floats = __m512;

inline Ints load(const void* p) { return _mm512_loadu_si512(p); }
inline Ints low_half(Ints w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
inline Ints high_half(Ints w) { return low_half(_mm512_srli_epi16(w, 4)); }
inline Ints no_ints() { return _mm512_setzero_si512(); }
inline Ints four(const int8_t* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}
inline Ints add_products(Ints sum, Ints w, Ints x) { return _mm512_dpbusd_epi32(sum, w, x); }
inline Ints total_products(Ints sum) { return sum; }
inline Ints add_partial(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Ints take_codes(Ints w) { return w; }
inline Ints dot_signed(Ints sum, Ints w, Ints x) { return _mm512_dpbusd_epi32(sum, w, x); }
inline Ints all_ints(int32_t x) { return _mm512_set1_epi32(x); }
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
inline Floats bf16(const void* p) {
  const __m256i halves = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
inline Floats bytes(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Floats load_floats(const float* p) { return _mm512_loadu_ps(p); }
inline Floats no_floats() { return _mm512_setzero_ps(); }
inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
inline Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
inline Floats at_least(Floats a, Floats b) { return _mm512_max_ps(a, b); }
inline Floats nearest(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats two_to(Floats a) { return _mm512_scalef_ps(all(1), a); }
inline Floats where_positive(Floats x, Floats yes, Floats no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, no_floats(), _CMP_GT_OQ), no, yes);
}
inline uint32_t where_at_least(Floats x, float least) {
  return _mm512_cmp_ps_mask(x, all(least), _CMP_GE_OQ);
}
inline void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
inline __m256 half_total(Floats a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(a), high);
}

#else

constexpr int64_t kLanes = 8;
constexpr int kMostRows = 8;
constexpr int kRowsOfMany = 4;
constexpr bool kHasOffset = false;
using Ints = __m256i;
using Floats = __m256;

inline Ints load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline Ints low_half(Ints w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
inline Ints high_half(Ints w) { return low_half(_mm256_srli_epi16(w, 4)); }
inline Ints no_ints() { return _mm256_setzero_si256(); }
inline Ints four(const int8_t* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}
// Without this GCC multiplies everything first and adds up last, and has no registers for what lies between.
inline Ints in_turn(Ints a) {
  asm("" : "+x"(a));
  return a;
}
// A group's eight products of two codes up to 15 and two up to 127 fit into 16 bits: 8 * 2 * 15 * 127 = 30480.
inline Ints add_products(Ints sum, Ints w, Ints x) {
  return in_turn(_mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x)));
}
inline Ints total_products(Ints sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
inline Ints add_partial(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
inline Ints take_codes(Ints w) { return _mm256_xor_si256(w, _mm256_set1_epi8(-128)); }
inline Ints all_ints(int32_t x) { return _mm256_set1_epi32(x); }
inline Ints dot_signed(Ints sum, Ints w, Ints x) {
  const Ints pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  return in_turn(_mm256_add_epi32(sum, total_products(pairs)));
}
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
inline Floats bf16(const void* p) {
  const __m128i halves = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
inline Floats bytes(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline Floats load_floats(const float* p) { return _mm256_loadu_ps(p); }
inline Floats no_floats() { return _mm256_setzero_ps(); }
inline Floats all(float x) { return _mm256_set1_ps(x); }
inline Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
inline Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
inline Floats at_least(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats nearest(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats two_to(Floats a) {
  const Ints exponent = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
inline Floats where_positive(Floats x, Floats yes, Floats no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(x, no_floats(), _CMP_GT_OQ));
}
inline uint32_t where_at_least(Floats x, float least) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x, all(least), _CMP_GE_OQ)));
}
inline void store(float* p, Floats a) { _mm256_storeu_ps(p, a); }
inline __m256 half_total(Floats a) { return a; }
#endif

// The sums of four.
inline __m128 totals(Floats a, Floats b, Floats c, Floats d) {
  const __m256 pairs = _mm256_hadd_ps(half_total(a), half_total(b));
  const __m256 others = _mm256_hadd_ps(half_total(c), half_total(d));
  const __m256 sums = _mm256_hadd_ps(pairs, others);
  return _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

inline float total(Floats a) {
  return _mm_cvtss_f32(totals(a, no_floats(), no_floats(), no_floats()));
}

// e to the power of x, for x <= 0: 2^n times a polynomial of the rest, which is at most ln(2) / 2.
inline Floats exp_negative(Floats x) {
  x = at_least(all(-87), x);  // in this order a NaN stays one
  const Floats n = nearest(multiply(x, all(1.44269504f)));
  const Floats rest = fma(n, all(2.12194440e-4f), fma(n, all(-0.693359375f), x));
  Floats sum = all(1.0f / 720);
  for (const float term : {1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2, 1.0f, 1.0f}) sum = fma(sum, rest, all(term));
  return multiply(sum, two_to(n));
}

}  // namespace
