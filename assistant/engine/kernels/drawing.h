// Drawing a token from a row of scores.

#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "lanes.h"

namespace {

constexpr int64_t kBlock = 256;  // likelihoods that are added up at once

// A row of scores over a temperature: likelihoods, of which the largest is 1.
struct Likelihoods {
  const float* scores;
  int64_t count;
  float most, inverse;

  Floats at(int64_t i) const {
    const Floats x = multiply(add(load_floats(scores + i), all(-most)), all(inverse));
    const Floats none = at_least(no_floats(), x);  // 0, or a NaN that stays one
    return where_positive(add(x, all(87)), exp_negative(x), none);
  }
  float one(int64_t i) const { return std::exp((scores[i] - most) * inverse); }

  double add_up(int64_t begin) const {
    const int64_t end = std::min(begin + kBlock, count);
    Floats sum = no_floats();
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) sum = add(sum, at(i));
    double total_ = total(sum);
    for (; i < end; ++i) total_ += one(i);
    return total_;
  }
};

float find_largest(const float* scores, int64_t count) {
  Floats most = all(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) most = at_least(most, load_floats(scores + i));
  float lanes[kLanes];
  store(lanes, most);
  float largest = *std::max_element(lanes, lanes + kLanes);
  for (; i < count; ++i) largest = std::max(largest, scores[i]);
  return largest;
}

// The first token up to which likelihoods add up to `mark`, in (0, 1], of all of them; -1 where they add up to
// nothing or to no number. One whose score is minus infinity is never drawn.
int64_t draw(const float* scores, int64_t count, float temperature, double mark) {
  const float most = find_largest(scores, count);
  if (!std::isfinite(most)) return -1;
  const Likelihoods likelihoods{scores, count, most, 1 / temperature};
  std::vector<double> sums;
  double all_ = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) sums.push_back(all_ += likelihoods.add_up(begin));
  if (!std::isfinite(all_)) return -1;
  const int64_t block = std::lower_bound(sums.begin(), sums.end(), mark * all_) - sums.begin();
  double left = mark * all_ - (block > 0 ? sums[block - 1] : 0);
  int64_t found = -1;
  for (int64_t i = block * kBlock; i < std::min((block + 1) * kBlock, count) && left > 0; ++i) {
    const float own = likelihoods.one(i);
    if (own > 0) {
      found = i;
      left -= own;
    }
  }
  return found;
}

}  // namespace
