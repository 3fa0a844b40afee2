// What a Llama does most on a CPU, for x86 with AVX2 or better: rows times a matrix of 4 or 8 bits, and
// attention over a cache of slots. Knows no model, no file and no Python; `ops.py` says what each does.
//
// Rows are rounded to 8 bits in groups of 32 columns, so that a group's products add up exactly in integers.
// Each result is computed in the same order whatever is computed beside it: a row gives the same bits alone
// and among others.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <immintrin.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace {

using at::Tensor;

constexpr int64_t kGroup = 32;         // columns that share a scale
constexpr int64_t kTile = 16;          // matrix rows that lie side by side
constexpr int64_t kInt4Block = 320;    // bytes: 16 x 32 codes of 4 bits, 16 scales, 16 lowest values (bfloat16)
constexpr int64_t kInt8Block = 576;    // bytes: 16 x 32 codes, 16 sums of codes times -128 (int32)
constexpr int64_t kBytesATask = 1 << 16;
constexpr int kMostRows = 4;           // of x at once: more would not fit into the registers

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)

constexpr int64_t kLanes = 16;
constexpr bool kHasOffset = true;  // dot_signed adds 128 * (sum of codes), which a block's sums take back
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
inline Ints dot_unsigned(Ints sum, Ints w, Ints x) { return _mm512_dpbusd_epi32(sum, w, x); }
inline Ints dot_signed(Ints sum, Ints w, Ints x) {
  return _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, _mm512_set1_epi8(-128)), w);
}
inline Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
inline Floats bf16(const void* p) {
  const __m256i halves = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
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
inline void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
inline __m256 half_total(Floats a) {
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
  return _mm256_add_ps(_mm512_castps512_ps256(a), high);
}

#else

constexpr int64_t kLanes = 8;
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
inline Ints dot_unsigned(Ints sum, Ints w, Ints x) {
  const Ints pairs = _mm256_maddubs_epi16(w, x);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline Ints dot_signed(Ints sum, Ints w, Ints x) {
  return dot_unsigned(sum, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
inline Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
inline Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
inline Floats bf16(const void* p) {
  const __m128i halves = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
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
  x = at_least(x, all(-87));
  const Floats n = nearest(multiply(x, all(1.44269504f)));
  const Floats rest = fma(n, all(2.12194440e-4f), fma(n, all(-0.693359375f), x));
  Floats sum = all(1.0f / 720);
  for (const float term : {1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2, 1.0f, 1.0f}) sum = fma(sum, rest, all(term));
  return multiply(sum, two_to(n));
}

// Rows of 8-bit codes; a value is code * scale of its group.
struct Rounded {
  std::vector<int8_t> codes;   // (rows, columns)
  std::vector<float> scales;   // (rows, groups)
  std::vector<float> sums;     // (rows, groups): of the group's codes, times its scale
  int64_t columns, groups;

  Rounded(const float* x, int64_t rows, int64_t columns)
      : codes(rows * columns), scales(rows * columns / kGroup), sums(rows * columns / kGroup),
        columns(columns), groups(columns / kGroup) {
    at::parallel_for(0, rows * groups, kBytesATask / kGroup, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) round_group(x + g * kGroup, g);
    });
  }

  void round_group(const float* x, int64_t g) {
    float most = 0;
    for (int64_t i = 0; i < kGroup; ++i) most = std::max(most, std::fabs(x[i]));
    // A NaN is lost in max: it is found again by what the whole row adds up to.
    float check = 0;
    for (int64_t i = 0; i < kGroup; ++i) check += x[i] * 0.0f;
    const float scale = most / 127, inverse = most > 0 ? 127 / most : 0;
    int32_t sum = 0;
    int8_t* out = codes.data() + g * kGroup;
    for (int64_t i = 0; i < kGroup; ++i) {
      const int32_t code = static_cast<int32_t>(std::nearbyint(x[i] * inverse));
      out[i] = static_cast<int8_t>(code);
      sum += code;
    }
    scales[g] = scale + check;
    sums[g] = scales[g] * static_cast<float>(sum);
  }
};

template <int kRows>
void int4_tile(const uint8_t* packed, const Rounded& x, int64_t row, float* out, int64_t stride) {
  const int8_t* codes = x.codes.data() + row * x.columns;
  const float* scales = x.scales.data() + row * x.groups;
  const float* sums = x.sums.data() + row * x.groups;
  for (int64_t part = 0; part < kTile; part += kLanes) {
    Floats result[kRows];
    for (int m = 0; m < kRows; ++m) result[m] = no_floats();
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* block = packed + g * kInt4Block;
      Ints first[kRows], second[kRows];
      for (int m = 0; m < kRows; ++m) first[m] = second[m] = no_ints();
      for (int64_t j = 0; j < 4; ++j) {
        const Ints w = load(block + 64 * j + 4 * part), low = low_half(w), high = high_half(w);
        for (int m = 0; m < kRows; ++m) {
          const int8_t* own = codes + m * x.columns + g * kGroup + 4 * j;
          first[m] = dot_unsigned(first[m], low, four(own));
          second[m] = dot_unsigned(second[m], high, four(own + 16));
        }
      }
      const Floats scale = bf16(block + 256 + 2 * part), lowest = bf16(block + 288 + 2 * part);
      for (int m = 0; m < kRows; ++m) {
        const Floats dot = to_floats(add(first[m], second[m]));
        result[m] = fma(dot, multiply(scale, all(scales[m * x.groups + g])), result[m]);
        result[m] = fma(lowest, all(sums[m * x.groups + g]), result[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) store(out + m * stride + part, result[m]);
  }
}

template <int kRows>
void int8_tile(const uint8_t* packed, const Rounded& x, int64_t row, float* out, int64_t stride) {
  const int8_t* codes = x.codes.data() + row * x.columns;
  const float* scales = x.scales.data() + row * x.groups;
  for (int64_t part = 0; part < kTile; part += kLanes) {
    Floats result[kRows];
    for (int m = 0; m < kRows; ++m) result[m] = no_floats();
    for (int64_t g = 0; g < x.groups; ++g) {
      const uint8_t* block = packed + g * kInt8Block;
      const Ints offset = kHasOffset ? load(block + 512 + 4 * part) : no_ints();
      Ints first[kRows], second[kRows];
      for (int m = 0; m < kRows; ++m) {
        first[m] = offset;
        second[m] = no_ints();
      }
      for (int64_t j = 0; j < 4; ++j) {
        const Ints low = load(block + 64 * j + 4 * part), high = load(block + 64 * (j + 4) + 4 * part);
        for (int m = 0; m < kRows; ++m) {
          const int8_t* own = codes + m * x.columns + g * kGroup + 4 * j;
          first[m] = dot_signed(first[m], low, four(own));
          second[m] = dot_signed(second[m], high, four(own + 16));
        }
      }
      for (int m = 0; m < kRows; ++m) {
        const Floats dot = to_floats(add(first[m], second[m]));
        result[m] = fma(dot, all(scales[m * x.groups + g]), result[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) store(out + m * stride + part, result[m]);
  }
}

using Tile = void (*)(const uint8_t*, const Rounded&, int64_t, float*, int64_t);

Tensor multiply_tiles(const Tensor& x, const Tensor& packed, const Tile (&tiles)[kMostRows + 1], int64_t block) {
  TORCH_CHECK(x.scalar_type() == at::kFloat && x.dim() == 2 && x.is_contiguous());
  TORCH_CHECK(packed.scalar_type() == at::kByte && packed.dim() == 3 && packed.is_contiguous());
  TORCH_CHECK(packed.size(2) == block && packed.size(1) * kGroup == x.size(1), "x and matrix do not fit");
  const int64_t rows = x.size(0), count = packed.size(0), stride = count * kTile;
  Tensor out = at::empty({rows, stride}, x.options());
  const Rounded rounded(x.data_ptr<float>(), rows, x.size(1));
  const uint8_t* matrix = packed.data_ptr<uint8_t>();
  float* result = out.data_ptr<float>();
  const int64_t tile_bytes = packed.size(1) * block;
  const int64_t grain = std::max<int64_t>(1, kBytesATask / (tile_bytes * std::max<int64_t>(1, rows / 4)));
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t row = 0; row < rows; row += kMostRows) {
        const int64_t some = std::min<int64_t>(kMostRows, rows - row);
        tiles[some](matrix + t * tile_bytes, rounded, row, result + row * stride + t * kTile, stride);
      }
    }
  });
  return out;
}

Tensor multiply_int4(const Tensor& x, const Tensor& packed) {
  static const Tile tiles[] = {nullptr, int4_tile<1>, int4_tile<2>, int4_tile<3>, int4_tile<4>};
  return multiply_tiles(x, packed, tiles, kInt4Block);
}

Tensor multiply_int8(const Tensor& x, const Tensor& packed, const Tensor& scale) {
  static const Tile tiles[] = {nullptr, int8_tile<1>, int8_tile<2>, int8_tile<3>, int8_tile<4>};
  TORCH_CHECK(scale.scalar_type() == at::kFloat && scale.numel() == packed.size(0) * kTile);
  Tensor out = multiply_tiles(x, packed, tiles, kInt8Block);
  const float* by = scale.data_ptr<float>();
  float* result = out.data_ptr<float>();
  const int64_t columns = out.size(1);
  for (int64_t row = 0; row < out.size(0); ++row)
    for (int64_t i = 0; i < columns; ++i) result[row * columns + i] *= by[i];
  return out;
}

void rotate(const float* x, const float* cosine, const float* sine, int64_t size, float* out) {
  const int64_t half = size / 2;
  for (int64_t i = 0; i < half; ++i) {
    out[i] = x[i] * cosine[i] - x[i + half] * sine[i];
    out[i + half] = x[i + half] * cosine[i + half] + x[i] * sine[i + half];
  }
}

// A few queries that share their keys, over all positions up to their own.
//   queries, out: (kHeads, size); keys, values: (positions, size); scores: room for (kHeads, stride).
template <int kChunks, int kHeads>
void attend_some(const float* queries, const at::BFloat16* keys, const at::BFloat16* values, int64_t positions,
                 float* scores, int64_t stride, float* out) {
  constexpr int64_t size = kChunks * kLanes;
  const float scale = 1 / std::sqrt(static_cast<float>(size));
  for (int64_t t = 0; t < positions; t += 4) {
    Floats dots[kHeads][4];
    for (int k = 0; k < 4; ++k) {
      const at::BFloat16* key = keys + std::min(t + k, positions - 1) * size;
      for (int h = 0; h < kHeads; ++h) dots[h][k] = no_floats();
      for (int c = 0; c < kChunks; ++c) {
        const Floats part = bf16(key + c * kLanes);
        for (int h = 0; h < kHeads; ++h)
          dots[h][k] = fma(load_floats(queries + h * size + c * kLanes), part, dots[h][k]);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      const __m128 four = totals(dots[h][0], dots[h][1], dots[h][2], dots[h][3]);
      _mm_storeu_ps(scores + h * stride + t, _mm_mul_ps(four, _mm_set1_ps(scale)));
    }
  }
  Floats mixed[kHeads][kChunks];
  float sums[kHeads];
  for (int h = 0; h < kHeads; ++h) {
    float* own = scores + h * stride;
    float most = own[0];
    for (int64_t t = 1; t < positions; ++t) most = std::max(most, own[t]);
    for (int64_t t = positions; t < positions + kLanes; ++t) own[t] = -INFINITY;
    Floats sum = no_floats();
    for (int64_t t = 0; t < positions; t += kLanes) {
      const Floats weight = exp_negative(add(load_floats(own + t), all(-most)));
      store(own + t, weight);
    }
    for (int64_t t = positions; t < positions + kLanes; ++t) own[t] = 0;
    for (int64_t t = 0; t < positions; t += kLanes) sum = add(sum, load_floats(own + t));
    sums[h] = total(sum);
    for (int c = 0; c < kChunks; ++c) mixed[h][c] = no_floats();
  }
  for (int64_t t = 0; t < positions; ++t)
    for (int c = 0; c < kChunks; ++c) {
      const Floats part = bf16(values + t * size + c * kLanes);
      for (int h = 0; h < kHeads; ++h) mixed[h][c] = fma(all(scores[h * stride + t]), part, mixed[h][c]);
    }
  for (int h = 0; h < kHeads; ++h)
    for (int c = 0; c < kChunks; ++c)
      store(out + h * size + c * kLanes, multiply(mixed[h][c], all(1 / sums[h])));
}

using Attend = void (*)(const float*, const at::BFloat16*, const at::BFloat16*, int64_t, float*, int64_t, float*);

template <int kChunks>
Attend choose_attend(int heads) {
  switch (heads) {
    case 1: return attend_some<kChunks, 1>;
    case 2: return attend_some<kChunks, 2>;
    case 3: return attend_some<kChunks, 3>;
    default: return attend_some<kChunks, 4>;
  }
}

Attend choose_attend(int64_t size, int heads) {
  switch (size / kLanes) {
    case 1: return choose_attend<1>(heads);
    case 2: return choose_attend<2>(heads);
    case 3: return choose_attend<3>(heads);
    case 4: return choose_attend<4>(heads);
    case 5: return choose_attend<5>(heads);
    case 6: return choose_attend<6>(heads);
    case 8: return choose_attend<8>(heads);
    case 16: return choose_attend<16>(heads);
    default: return nullptr;
  }
}

// Rotated keys, and values, into the cache.
void fill_cache(const float* x, int64_t rows, int64_t heads, const float* cosine, const float* sine,
                const Tensor& keys, const Tensor& values, const int64_t* slot, const int64_t* position) {
  const int64_t kv_heads = keys.size(1), room = keys.size(2), size = keys.size(3);
  const int64_t width = (heads + 2 * kv_heads) * size;
  at::BFloat16 *k = keys.data_ptr<at::BFloat16>(), *v = values.data_ptr<at::BFloat16>();
  std::vector<float> turned(size);
  for (int64_t n = 0; n < rows; ++n) {
    TORCH_CHECK(position[n] >= 0 && position[n] < room && slot[n] >= 0 && slot[n] < keys.size(0));
    for (int64_t h = 0; h < kv_heads; ++h) {
      const int64_t place = ((slot[n] * kv_heads + h) * room + position[n]) * size;
      const float* key = x + n * width + (heads + h) * size;
      rotate(key, cosine + position[n] * size, sine + position[n] * size, size, turned.data());
      for (int64_t i = 0; i < size; ++i) {
        k[place + i] = turned[i];
        v[place + i] = key[kv_heads * size + i];
      }
    }
  }
}

Tensor attend(const Tensor& qkv, const Tensor& cosine, const Tensor& sine, Tensor keys, Tensor values,
              const Tensor& slots, const Tensor& positions, int64_t heads) {
  TORCH_CHECK(qkv.scalar_type() == at::kFloat && qkv.is_contiguous());
  TORCH_CHECK(cosine.scalar_type() == at::kFloat && sine.scalar_type() == at::kFloat);
  TORCH_CHECK(keys.scalar_type() == at::kBFloat16 && keys.is_contiguous() && values.is_contiguous());
  const int64_t rows = qkv.size(0), kv_heads = keys.size(1), room = keys.size(2), size = keys.size(3);
  const int64_t group = heads / kv_heads, width = (heads + 2 * kv_heads) * size;
  TORCH_CHECK(qkv.size(1) == width && size % kLanes == 0 && choose_attend(size, 1) != nullptr);
  TORCH_CHECK(slots.numel() == rows && positions.numel() == rows);
  const int64_t *slot = slots.data_ptr<int64_t>(), *position = positions.data_ptr<int64_t>();
  const float *x = qkv.data_ptr<float>(), *cos = cosine.data_ptr<float>(), *sin = sine.data_ptr<float>();
  fill_cache(x, rows, heads, cos, sin, keys, values, slot, position);
  const at::BFloat16 *k = keys.data_ptr<at::BFloat16>(), *v = values.data_ptr<at::BFloat16>();
  Tensor out = at::empty({rows, heads * size}, qkv.options());
  float* result = out.data_ptr<float>();
  const int64_t longest = *std::max_element(position, position + rows) + 1;
  const int64_t stride = longest + 2 * kLanes;
  const int together = static_cast<int>(std::min<int64_t>({group, 4, std::max<int64_t>(1, 16 * kLanes / size)}));
  const int64_t grain = std::max<int64_t>(1, kBytesATask / (longest * size * group));
  at::parallel_for(0, rows * kv_heads, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(together * stride), queries(group * size);
    for (int64_t one = begin; one < end; ++one) {
      const int64_t n = one / kv_heads, h = one % kv_heads, place = (slot[n] * kv_heads + h) * room * size;
      const int64_t turn = position[n] * size;
      for (int64_t g = 0; g < group; ++g)
        rotate(x + n * width + (h * group + g) * size, cos + turn, sin + turn, size, queries.data() + g * size);
      for (int64_t g = 0; g < group; g += together) {
        const int some = static_cast<int>(std::min<int64_t>(together, group - g));
        choose_attend(size, some)(queries.data() + g * size, k + place, v + place, position[n] + 1,
                                  scores.data(), stride, result + (n * heads + h * group + g) * size);
      }
    }
  });
  return out;
}

Tensor normalize(const Tensor& x, const Tensor& weight, double eps) {
  TORCH_CHECK(x.scalar_type() == at::kFloat && x.is_contiguous() && x.dim() == 2);
  TORCH_CHECK(weight.scalar_type() == at::kFloat && weight.numel() == x.size(1) && x.size(1) % kLanes == 0);
  Tensor out = at::empty(x.sizes(), x.options());
  const int64_t columns = x.size(1);
  const float* by = weight.data_ptr<float>();
  for (int64_t row = 0; row < x.size(0); ++row) {
    const float* in = x.data_ptr<float>() + row * columns;
    float* result = out.data_ptr<float>() + row * columns;
    Floats sum = no_floats();
    for (int64_t i = 0; i < columns; i += kLanes) sum = fma(load_floats(in + i), load_floats(in + i), sum);
    const float scale = 1 / std::sqrt(total(sum) / static_cast<float>(columns) + static_cast<float>(eps));
    for (int64_t i = 0; i < columns; ++i) result[i] = in[i] * scale * by[i];
  }
  return out;
}

Tensor gate(const Tensor& both) {
  TORCH_CHECK(both.scalar_type() == at::kFloat && both.is_contiguous() && both.size(1) % (2 * kLanes) == 0);
  const int64_t columns = both.size(1) / 2;
  Tensor out = at::empty({both.size(0), columns}, both.options());
  const float* in = both.data_ptr<float>();
  float* result = out.data_ptr<float>();
  at::parallel_for(0, both.size(0), std::max<int64_t>(1, kBytesATask / columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = 0; i < columns; i += kLanes) {
        const Floats g = load_floats(in + 2 * row * columns + i), up = load_floats(in + (2 * row + 1) * columns + i);
        // g / (1 + exp(-g)), by the exponential of what is not above 0.
        const Floats negative = at_least(g, multiply(g, all(-1)));
        const Floats small = exp_negative(multiply(negative, all(-1)));
        const Floats below = divide(multiply(g, small), add(all(1), small));
        const Floats above = divide(g, add(all(1), small));
        store(result + row * columns + i, multiply(where_positive(g, above, below), up));
      }
  });
  return out;
}

}  // namespace

TORCH_LIBRARY(assistant, library) {
  library.def("multiply_int4(Tensor x, Tensor packed) -> Tensor", &multiply_int4);
  library.def("multiply_int8(Tensor x, Tensor packed, Tensor scale) -> Tensor", &multiply_int8);
  library.def("normalize(Tensor x, Tensor weight, float eps) -> Tensor", &normalize);
  library.def("gate(Tensor both) -> Tensor", &gate);
  library.def(
      "attend(Tensor qkv, Tensor cosine, Tensor sine, Tensor(a!) keys, Tensor(b!) values, Tensor slots,"
      " Tensor positions, int heads) -> Tensor",
      &attend);
}
