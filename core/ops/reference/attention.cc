#include "core/ops/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace equipoise::reference {
namespace {

struct Indexer {
  AttentionShape shape;

  size_t Query(int64_t row, int64_t head) const {
    return static_cast<size_t>((row * shape.query_heads + head) * shape.head_dim);
  }
  size_t Kv(int64_t row, int64_t query_head) const {
    const int64_t head = query_head / (shape.query_heads / shape.kv_heads);
    return static_cast<size_t>((row * shape.kv_heads + head) * shape.head_dim);
  }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(shape.head_dim)); }
};

double Dot(const AttentionShape& shape, const double* x, const double* y) {
  double sum = 0.0;
  for (int64_t d = 0; d < shape.head_dim; ++d) sum += x[d] * y[d];
  return sum;
}

// y += a * x.
void Add(const AttentionShape& shape, double a, const double* x, double* y) {
  for (int64_t d = 0; d < shape.head_dim; ++d) y[d] += a * x[d];
}

// The probabilities of row t over the keys [first, t] that it sees.
struct Row {
  std::vector<double> p;
  double log_sum_exp;
};

Row SoftmaxRow(const Indexer& at, const AttentionInputs& in, int64_t first, int64_t t,
               int64_t head) {
  Row row;
  for (int64_t j = first; j <= t; ++j) {
    row.p.push_back(at.scale() * Dot(at.shape, &in.q[at.Query(t, head)], &in.k[at.Kv(j, head)]));
  }
  const double max = *std::max_element(row.p.begin(), row.p.end());
  double sum = 0.0;
  for (double& p : row.p) sum += p = std::exp(p - max);
  for (double& p : row.p) p /= sum;
  row.log_sum_exp = max + std::log(sum);
  return row;
}

// Calls body(first row of the sequence, row, head) for every query.
template <typename Body>
void ForEachQuery(const AttentionShape& shape, Body&& body) {
  for (int64_t t = 0; t < shape.num_sequences * shape.sequence_length; ++t) {
    const int64_t first = t / shape.sequence_length * shape.sequence_length;
    for (int64_t head = 0; head < shape.query_heads; ++head) body(first, t, head);
  }
}

}  // namespace

AttentionOutputs AttentionForward(const AttentionShape& shape, const AttentionInputs& in) {
  const Indexer at{shape};
  AttentionOutputs result;
  result.out.assign(in.q.size(), 0.0);
  ForEachQuery(shape, [&](int64_t first, int64_t t, int64_t head) {
    const Row row = SoftmaxRow(at, in, first, t, head);
    result.log_sum_exp.push_back(row.log_sum_exp);
    for (int64_t j = first; j <= t; ++j) {
      Add(shape, row.p[static_cast<size_t>(j - first)], &in.v[at.Kv(j, head)],
          &result.out[at.Query(t, head)]);
    }
  });
  return result;
}

AttentionGradients AttentionBackward(const AttentionShape& shape, const AttentionInputs& in,
                                     std::span<const double> dout) {
  const Indexer at{shape};
  AttentionGradients g;
  g.dq.assign(in.q.size(), 0.0);
  g.dk.assign(in.k.size(), 0.0);
  g.dv.assign(in.v.size(), 0.0);
  ForEachQuery(shape, [&](int64_t first, int64_t t, int64_t head) {
    const Row row = SoftmaxRow(at, in, first, t, head);
    const double* dy = &dout[at.Query(t, head)];
    double delta = 0.0;
    for (int64_t j = first; j <= t; ++j) {
      delta += row.p[static_cast<size_t>(j - first)] * Dot(shape, dy, &in.v[at.Kv(j, head)]);
    }
    for (int64_t j = first; j <= t; ++j) {
      const double p = row.p[static_cast<size_t>(j - first)];
      const double ds = at.scale() * p * (Dot(shape, dy, &in.v[at.Kv(j, head)]) - delta);
      Add(shape, p, dy, &g.dv[at.Kv(j, head)]);
      Add(shape, ds, &in.k[at.Kv(j, head)], &g.dq[at.Query(t, head)]);
      Add(shape, ds, &in.q[at.Query(t, head)], &g.dk[at.Kv(j, head)]);
    }
  });
  return g;
}

}  // namespace equipoise::reference
