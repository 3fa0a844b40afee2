// A step of a Llama on a CPU with AVX2 or better: from embedded tokens to logits. Knows no file and no Python;
// `ops.py` says what each function does.
//
// Each result is computed in the same order whatever is computed beside it, and on however many threads: a row
// gives the same bits alone and among others.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

#include "attention.h"
#include "drawing.h"
#include "head.h"
#include "products.h"
#include "team.h"

namespace {

using at::Tensor;
using at::TensorList;

const float* read_floats(const Tensor& tensor, int64_t size) {
  TORCH_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && tensor.numel() >= size);
  return tensor.data_ptr<float>();
}

Matrix read_matrix(const Tensor& packed, const Tensor& scales, int64_t columns) {
  TORCH_CHECK(packed.scalar_type() == at::kByte && packed.dim() == 3 && packed.is_contiguous());
  TORCH_CHECK(packed.size(2) == kInt4Block || packed.size(2) == kInt8Block);
  TORCH_CHECK(packed.size(1) * kGroup == columns, "rows and matrix do not fit together");
  const int64_t tiles = packed.size(0);
  const bool is_int8 = packed.size(2) == kInt8Block;
  return {packed.data_ptr<uint8_t>(), read_floats(scales, tiles * kTile), tiles, packed.size(1), is_int8};
}

Head read_head(const Tensor& packed, const Tensor& scales, int64_t columns) {
  TORCH_CHECK(packed.scalar_type() == at::kByte && packed.dim() == 4 && packed.is_contiguous());
  TORCH_CHECK(packed.size(0) == 2 && packed.size(3) == kHalfBlock);
  TORCH_CHECK(packed.size(2) * kGroup == columns, "rows and head do not fit together");
  const int64_t tiles = packed.size(1), tokens = scales.numel();
  TORCH_CHECK(tokens > (tiles - 1) * kTile && tokens <= tiles * kTile);
  const uint8_t* upper = packed.data_ptr<uint8_t>();
  return {upper, upper + packed.numel() / 2, read_floats(scales, tokens), tiles, packed.size(2), tokens};
}

// Round x (rows, in), and let work(member, rounded, rows, out) compute (rows, width) of it.
template <typename Work>
Tensor compute_rounded(const Tensor& x, int64_t width, const Work& work) {
  const int64_t rows = x.size(0);
  const float* in = read_floats(x, rows * x.size(1));
  Rounded rounded(rows, x.size(1));
  Tensor out = at::empty({rows, width}, x.options());
  float* place = out.data_ptr<float>();
  work_together(at::get_num_threads(), [&](const Member& me) {
    const int64_t groups = rows * rounded.groups;
    for (int64_t g = me.begin(groups); g < me.end(groups); ++g) rounded.round(in + g * kGroup, g);
    me.meet();
    work(me, rounded, rows, place);
  });
  return out;
}

Tensor multiply_packed(const Tensor& x, const Tensor& packed, const Tensor& scales) {
  TORCH_CHECK(x.dim() == 2);
  const Matrix matrix = read_matrix(packed, scales, x.size(1));
  return compute_rounded(x, matrix.rows(), [&](const Member& me, const Rounded& rounded, int64_t rows, float* out) {
    multiply(me, rounded, rows, matrix, {out, matrix.rows(), false});
  });
}

Tensor find_logits(const Tensor& x, const Tensor& packed, const Tensor& scales) {
  TORCH_CHECK(x.dim() == 2);
  const Head head = read_head(packed, scales, x.size(1));
  const auto least = make_room<float>(x.size(0));
  return compute_rounded(x, head.rows(), [&](const Member& me, const Rounded& rounded, int64_t rows, float* out) {
    compute_logits(me, rounded, rows, head, out, least.get());
  });
}

struct Layer {
  const float *attention_norm, *mlp_norm;
  Matrix qkv, output, gate_up, down;
  at::BFloat16 *keys, *values;  // (slots, key heads, room, size)
};

// Where the rows of a step stand, and the shape of the model's attention.
struct Places {
  const int64_t *slots, *positions;  // of each row
  const float *cosine, *sine;        // (room, size)
  int64_t heads, kv_heads, room, size;

  int64_t group() const { return heads / kv_heads; }
  int64_t width() const { return (heads + 2 * kv_heads) * size; }
  int64_t slot_begin(int64_t row, int64_t kv_head) const {
    return (slots[row] * kv_heads + kv_head) * room * size;
  }
};

// Scale a row to root mean square 1, then by `weight`, and round it.
void normalize(const float* x, const float* weight, float eps, int64_t row, Rounded& out) {
  Floats sum = no_floats();
  for (int64_t i = 0; i < out.columns; i += kLanes) sum = fma(load_floats(x + i), load_floats(x + i), sum);
  const float scale = 1 / std::sqrt(total(sum) / static_cast<float>(out.columns) + eps);
  for (int64_t g = 0; g < out.groups; ++g) {
    float scaled[kGroup];
    for (int64_t i = 0; i < kGroup; ++i) scaled[i] = x[g * kGroup + i] * scale * weight[g * kGroup + i];
    out.round(scaled, row * out.groups + g);
  }
}

// SiLU(gate) * up of a group's 32 columns, rounded. A row is gate, then up.
void gate_group(const float* gate_up, int64_t group, Rounded& out) {
  const int64_t row = group / out.groups, column = group % out.groups * kGroup;
  const float *gate = gate_up + 2 * row * out.columns + column, *up = gate + out.columns;
  float gated[kGroup];
  for (int64_t i = 0; i < kGroup; i += kLanes) {
    const Floats g = load_floats(gate + i);
    // g / (1 + exp(-g)), by the exponential of what is not above 0.
    const Floats small = exp_negative(multiply(at_least(g, multiply(g, all(-1))), all(-1)));
    const Floats above = multiply(g, load_floats(up + i));
    store(gated + i, divide(where_positive(g, above, multiply(above, small)), add(all(1), small)));
  }
  out.round(gated, group);
}

// A row's rotated key of a head, and its value, into the cache.
void fill_cache(const Places& places, const Layer& layer, const float* qkv, int64_t row, int64_t kv_head) {
  const int64_t size = places.size, position = places.positions[row];
  const float* key = qkv + row * places.width() + (places.heads + kv_head) * size;
  const float* value = key + places.kv_heads * size;
  const int64_t place = places.slot_begin(row, kv_head) + position * size;
  float turned[256];
  rotate(key, places.cosine + position * size, places.sine + position * size, size, turned);
  for (int64_t i = 0; i < size; ++i) {
    layer.keys[place + i] = turned[i];
    layer.values[place + i] = value[i];
  }
}

// What a thread computes attention in.
struct Scratch {
  int64_t stride;
  std::unique_ptr<float[]> queries, scores, mixed;

  Scratch(const Places& places, int64_t longest)
      : stride(longest + 2 * kLanes), queries(make_room<float>(places.group() * places.size)),
        scores(make_room<float>(kMostHeads * stride)), mixed(make_room<float>(places.group() * places.size)) {}
};

// The query heads of a row that share a key head, rounded.
void attend_row(const Places& places, const Layer& layer, const float* qkv, int64_t row, int64_t kv_head,
                const at::BFloat16* next_keys, Scratch& scratch, Rounded& out) {
  const int64_t size = places.size, group = places.group(), position = places.positions[row];
  const float* own = qkv + row * places.width() + kv_head * group * size;
  for (int64_t h = 0; h < group; ++h)
    rotate(own + h * size, places.cosine + position * size, places.sine + position * size, size,
           scratch.queries.get() + h * size);
  const int64_t begin = places.slot_begin(row, kv_head);
  for (int64_t h = 0; h < group; h += kMostHeads) {
    const Sight sight{scratch.queries.get() + h * size, layer.keys + begin, layer.values + begin, position + 1,
                      size, scratch.scores.get(), scratch.stride, next_keys};
    attend(sight, std::min(kMostHeads, group - h), scratch.mixed.get() + h * size);
  }
  const int64_t groups = group * size / kGroup, first = row * out.groups + kv_head * groups;
  for (int64_t g = 0; g < groups; ++g) out.round(scratch.mixed.get() + g * kGroup, first + g);
}

// What all layers of a step share.
struct Step {
  int64_t rows;
  Places places;
  float eps;
  float* x;                              // (rows, hidden)
  std::unique_ptr<float[]> qkv, gate_up;
  Rounded hidden, mixed, inner;          // what the matrices are multiplied with
};

void compute_layer(const Member& me, Step& step, const Layer& layer, Scratch& scratch) {
  const Places& places = step.places;
  const int64_t columns = step.hidden.columns, pairs = step.rows * places.kv_heads;
  for (int64_t row = me.number; row < step.rows; row += me.count)
    normalize(step.x + row * columns, layer.attention_norm, step.eps, row, step.hidden);
  me.meet();
  multiply(me, step.hidden, step.rows, layer.qkv, {step.qkv.get(), layer.qkv.rows(), false});
  me.meet();
  for (int64_t i = me.number; i < pairs; i += me.count)
    fill_cache(places, layer, step.qkv.get(), i / places.kv_heads, i % places.kv_heads);
  me.meet();
  // By turns: later rows of a prompt have more to look at.
  for (int64_t i = me.number; i < pairs; i += me.count) {
    const int64_t next = std::min(i + me.count, pairs - 1);
    const int64_t next_begin = places.slot_begin(next / places.kv_heads, next % places.kv_heads);
    attend_row(places, layer, step.qkv.get(), i / places.kv_heads, i % places.kv_heads,
               layer.keys + next_begin, scratch, step.mixed);
  }
  me.meet();
  multiply(me, step.mixed, step.rows, layer.output, {step.x, columns, true});
  me.meet();
  for (int64_t row = me.number; row < step.rows; row += me.count)
    normalize(step.x + row * columns, layer.mlp_norm, step.eps, row, step.hidden);
  me.meet();
  multiply(me, step.hidden, step.rows, layer.gate_up, {step.gate_up.get(), layer.gate_up.rows(), false});
  me.meet();
  const int64_t groups = step.rows * step.inner.groups;
  for (int64_t g = me.begin(groups); g < me.end(groups); ++g) gate_group(step.gate_up.get(), g, step.inner);
  me.meet();
  multiply(me, step.inner, step.rows, layer.down, {step.x, columns, true});
  me.meet();
}

Tensor forward(const Tensor& embedded, TensorList norms, TensorList packed, TensorList scales, TensorList keys,
               TensorList values, const Tensor& cosine, const Tensor& sine, const Tensor& slots,
               const Tensor& positions, const Tensor& wanted, int64_t heads, double eps) {
  const size_t count = keys.size();
  TORCH_CHECK(norms.size() == 2 * count + 1 && packed.size() == 4 * count + 1 && scales.size() == packed.size());
  TORCH_CHECK(count > 0 && values.size() == count && embedded.dim() == 2 && keys[0].dim() == 4);
  const int64_t rows = embedded.size(0), columns = embedded.size(1);
  const int64_t kv_heads = keys[0].size(1), room = keys[0].size(2), size = keys[0].size(3);
  TORCH_CHECK(size % kGroup == 0 && size <= 256 && heads % kv_heads == 0);
  for (const Tensor* places : {&slots, &positions, &wanted})
    TORCH_CHECK(places->scalar_type() == at::kLong && places->is_contiguous());
  TORCH_CHECK(slots.numel() == rows && positions.numel() == rows);
  const Places places{slots.data_ptr<int64_t>(),         positions.data_ptr<int64_t>(),
                      read_floats(cosine, room * size), read_floats(sine, room * size),
                      heads, kv_heads, room, size};
  int64_t longest = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const bool has_place = places.slots[row] >= 0 && places.slots[row] < keys[0].size(0) &&
                           places.positions[row] >= 0 && places.positions[row] < room;
    TORCH_CHECK(has_place, "row ", row, " has a place that is not in the cache");
    longest = std::max(longest, places.positions[row] + 1);
  }
  const int64_t* rows_wanted = wanted.data_ptr<int64_t>();
  for (int64_t i = 0; i < wanted.numel(); ++i) TORCH_CHECK(rows_wanted[i] >= 0 && rows_wanted[i] < rows);

  const int64_t mixed = heads * size, inner = packed[3].size(1) * kGroup;
  std::vector<Layer> layers;
  for (size_t n = 0; n < count; ++n) {
    for (const Tensor& buffer : {keys[n], values[n]})
      TORCH_CHECK(buffer.scalar_type() == at::kBFloat16 && buffer.is_contiguous() && buffer.sizes() == keys[0].sizes());
    layers.push_back({read_floats(norms[2 * n], columns), read_floats(norms[2 * n + 1], columns),
                      read_matrix(packed[4 * n], scales[4 * n], columns),
                      read_matrix(packed[4 * n + 1], scales[4 * n + 1], mixed),
                      read_matrix(packed[4 * n + 2], scales[4 * n + 2], columns),
                      read_matrix(packed[4 * n + 3], scales[4 * n + 3], inner),
                      keys[n].data_ptr<at::BFloat16>(), values[n].data_ptr<at::BFloat16>()});
    const Layer& layer = layers.back();
    TORCH_CHECK(layer.qkv.rows() == places.width() && layer.gate_up.rows() == 2 * inner);
    TORCH_CHECK(layer.output.rows() == columns && layer.down.rows() == columns);
  }
  const float* last_norm = read_floats(norms[2 * count], columns);
  const Head head = read_head(packed[4 * count], scales[4 * count], columns);

  Tensor x = embedded.clone();
  read_floats(x, rows * columns);
  Step step{rows, places, static_cast<float>(eps), x.data_ptr<float>(), make_room<float>(rows * places.width()),
            make_room<float>(rows * 2 * inner), {rows, columns}, {rows, mixed}, {rows, inner}};
  Tensor logits = at::empty({wanted.numel(), head.rows()}, x.options());
  float* out = logits.data_ptr<float>();
  const auto least = make_room<float>(wanted.numel());
  work_together(at::get_num_threads(), [&](const Member& me) {
    Scratch scratch(places, longest);
    for (const Layer& layer : layers) compute_layer(me, step, layer, scratch);
    for (int64_t i = me.number; i < wanted.numel(); i += me.count)
      normalize(step.x + rows_wanted[i] * columns, last_norm, step.eps, i, step.hidden);
    me.meet();
    compute_logits(me, step.hidden, wanted.numel(), head, out, least.get());
  });
  return logits;
}

int64_t draw_token(const Tensor& scores, double temperature, double mark) {
  TORCH_CHECK(scores.dim() == 1 && scores.numel() > 0 && temperature > 0);
  return draw(read_floats(scores, 1), scores.numel(), static_cast<float>(temperature), mark);
}

}  // namespace

TORCH_LIBRARY(assistant, library) {
  library.def("multiply(Tensor x, Tensor packed, Tensor scales) -> Tensor", &multiply_packed);
  library.def("find_logits(Tensor x, Tensor packed, Tensor scales) -> Tensor", &find_logits);
  library.def("draw(Tensor scores, float temperature, float mark) -> int", &draw_token);
  library.def(
      "forward(Tensor embedded, Tensor[] norms, Tensor[] packed, Tensor[] scales, Tensor(a!)[] keys,"
      " Tensor(b!)[] values, Tensor cosine, Tensor sine, Tensor slots, Tensor positions, Tensor wanted, int heads,"
      " float eps) -> Tensor",
      &forward);
}
