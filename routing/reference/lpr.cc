#include "routing/reference/lpr.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/check.h"
#include "core/ops/gemm.h"

namespace equipoise::routing::reference {
namespace {

// Everything the forward pass made, in full.
template <typename T>
struct Saved {
  Matrix<T> xhat, u, a;  // [T, H]
  std::vector<T> inverse_deviations;
  Matrix<T> moments;                 // [T, M]
  Unit<T> tokens, points;            // [T, D], [E, D]
  Matrix<T> similarities, q;         // [T, E]
  Matrix<T> v;                       // [T, D]
  Matrix<T> responsibilities, soft;  // [T, E]
  Matrix<T> targets;                 // [E, D], A
  double temperature = 1.0;
};

template <typename T>
T Sigmoid(T u) {
  return T{1} / (T{1} + std::exp(-u));
}

template <typename T>
void Encode(const Context& context, const LprParameters<T>& parameters, const Matrix<T>& x,
            Saved<T>& saved) {
  saved.xhat = saved.u = saved.a = Matrix<T>::Zeros(x.rows, x.columns);
  for (int64_t t = 0; t < x.rows; ++t) {
    const T n = static_cast<T>(x.columns);
    const T mean = std::accumulate(x.row(t), x.row(t) + x.columns, T{0}) / n;
    T variance = T{0};
    for (int64_t h = 0; h < x.columns; ++h) {
      variance += (x.row(t)[h] - mean) * (x.row(t)[h] - mean) / n;
    }
    const T inverse = T{1} / std::sqrt(variance + static_cast<T>(1e-5));
    saved.inverse_deviations.push_back(inverse);
    for (int64_t h = 0; h < x.columns; ++h) {
      const T xhat = (x.row(t)[h] - mean) * inverse;
      const T u = parameters.gain.row(0)[h] * xhat + parameters.shift.row(0)[h];
      saved.xhat.row(t)[h] = xhat;
      saved.u.row(t)[h] = u;
      saved.a.row(t)[h] = u * Sigmoid(u);
    }
  }
  saved.moments = Product(context, Transpose::kNo, Transpose::kYes, saved.a, parameters.weight);
  AddRow(parameters.bias, saved.moments);
}

// Through the products of T x E x D, as the published code does.
template <typename T>
Matrix<T> Cosines(const Matrix<T>& tokens, const Matrix<T>& points) {
  auto products = Matrix<T>::Zeros(tokens.rows * points.rows, tokens.columns);
  for (int64_t i = 0; i < products.rows; ++i) {
    const T* token = tokens.row(i / points.rows);
    const T* point = points.row(i % points.rows);
    for (int64_t d = 0; d < products.columns; ++d) products.row(i)[d] = token[d] * point[d];
  }
  auto cosines = Matrix<T>::Zeros(tokens.rows, points.rows);
  for (int64_t i = 0; i < products.rows; ++i) {
    cosines.values[static_cast<size_t>(i)] =
        std::accumulate(products.row(i), products.row(i) + products.columns, T{0});
  }
  return cosines;
}

template <typename T>
void Choose(const Saved<T>& saved, int top_k, LprStep<T>& step) {
  const int64_t experts = saved.similarities.columns;
  step.gates = Matrix<T>::Zeros(step.x.rows, top_k);
  std::vector<int32_t> order(static_cast<size_t>(experts));
  for (int64_t t = 0; t < step.x.rows; ++t) {
    const T* s = saved.similarities.row(t);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return s[a] > s[b]; });
    step.ids.insert(step.ids.end(), order.begin(), order.begin() + top_k);
    for (int64_t k = 0; k < top_k; ++k) {
      step.gates.row(t)[k] = s[order[static_cast<size_t>(k)]];
    }
  }
  step.gates = SoftmaxRows(step.gates, saved.temperature);
}

// (||n n^T - I||_F^2) / M^2 through the M x M matrix.
template <typename T>
double Diversity(const Context& context, const Matrix<T>& n) {
  const Matrix<T> gram = Product(context, Transpose::kNo, Transpose::kYes, n, n);
  double sum = 0.0;
  for (int64_t i = 0; i < gram.rows; ++i) {
    for (int64_t j = 0; j < gram.rows; ++j) {
      const double error = static_cast<double>(gram.row(i)[j]) - (i == j ? 1.0 : 0.0);
      sum += error * error;
    }
  }
  return n.rows > 0 ? sum / static_cast<double>(n.rows) / static_cast<double>(n.rows) : 0.0;
}

// d = 4 / M^2 (n n^T - I) n, through the M x M matrix again.
template <typename T>
void AddDiversityGradient(const Context& context, double weight, const Matrix<T>& n,
                          Matrix<T>& dn) {
  if (weight == 0.0 || n.rows == 0) return;
  Matrix<T> gram = Product(context, Transpose::kNo, Transpose::kYes, n, n);
  for (int64_t i = 0; i < gram.rows; ++i) gram.row(i)[i] -= T{1};
  const Matrix<T> product = Product(context, Transpose::kNo, Transpose::kNo, gram, n);
  const double rows = static_cast<double>(n.rows);
  for (size_t i = 0; i < dn.values.size(); ++i) {
    dn.values[i] += static_cast<T>(4.0 * weight / (rows * rows)) * product.values[i];
  }
}

// R, A and z of the alignment loss.
template <typename T>
void Align(const Context& context, int top_k, const LprStep<T>& step, Saved<T>& saved) {
  const int64_t dimensions = saved.tokens.rows.columns;
  auto chosen = Matrix<T>::Zeros(step.x.rows, saved.similarities.columns);
  Matrix<T> z = Columns(saved.moments, 0, dimensions);
  for (int64_t t = 0; t < step.x.rows; ++t) {
    for (int64_t k = 0; k < top_k; ++k) {
      const int32_t id = step.ids[static_cast<size_t>(t * top_k + k)];
      chosen.row(t)[id] = saved.similarities.row(t)[id];
    }
    for (int64_t d = 0; saved.moments.columns > dimensions && d < dimensions; ++d) {
      z.row(t)[d] += step.noise.row(t)[d] * std::exp(saved.moments.row(t)[dimensions + d] / T{2});
    }
  }
  saved.responsibilities = SoftmaxRows(chosen, 1.0);
  saved.targets = Product(context, Transpose::kYes, Transpose::kNo, saved.responsibilities, z);
}

template <typename T>
double Kl(const Matrix<T>& moments, int64_t dimensions) {
  double sum = 0.0;
  for (int64_t t = 0; t < moments.rows; ++t) {
    for (int64_t d = 0; d < moments.columns; ++d) {
      const double value = static_cast<double>(moments.row(t)[d]);
      sum += d < dimensions ? 0.5 * value * value : 0.5 * (std::exp(value) - 1.0 - value);
    }
  }
  return sum / std::max(1.0, static_cast<double>(moments.rows));
}

template <typename T>
void Losses(const Context& context, const LprOptions& options, const LprParameters<T>& parameters,
            const Saved<T>& saved, LprStep<T>& step) {
  const LprLossWeights& weights = options.weights;
  const double tokens = std::max(1.0, static_cast<double>(step.x.rows));
  step.losses.kl = weights.kl * Kl(saved.moments, saved.tokens.rows.columns);
  step.losses.token_diversity = weights.token_diversity * Diversity(context, saved.tokens.rows);
  step.losses.prototype_diversity =
      weights.prototype_diversity * Diversity(context, saved.points.rows);
  for (const T sum : SumOfRows(saved.tokens.rows).values) {
    step.losses.mean_direction +=
        weights.mean_direction * std::pow(static_cast<double>(sum) / tokens, 2.0);
  }
  for (const T sum : SumOfRows(saved.soft).values) {
    const double share = static_cast<double>(sum) / tokens;
    if (share == 0.0) continue;
    step.losses.soft_load +=
        weights.soft_load * share * std::log(static_cast<double>(saved.soft.columns) * share);
  }
  for (size_t i = 0; i < saved.targets.values.size(); ++i) {
    step.losses.alignment +=
        weights.alignment *
        std::fabs(static_cast<double>(parameters.prototypes.values[i] - saved.targets.values[i])) /
        static_cast<double>(saved.targets.values.size());
  }
}

// Gradient by the similarities: of gates, read-out and soft load; and by the temperature.
template <typename T>
Matrix<T> SimilaritiesGradient(const Context& context, const LprOptions& options,
                               const LprParameters<T>& parameters, const Saved<T>& saved,
                               LprStep<T>& step) {
  const Matrix<T> dlogits_of_chosen = SoftmaxRowsBackward(step.gates, step.dgates, 1.0);
  auto dlogits = Matrix<T>::Zeros(step.x.rows, saved.similarities.columns);
  if (parameters.decoder.rows > 0) {
    LprParameters<T>& gradients = step.gradients;
    const Matrix<T> dv =
        Product(context, Transpose::kNo, Transpose::kNo, step.dexpert_input, parameters.decoder);
    gradients.decoder =
        Product(context, Transpose::kYes, Transpose::kNo, step.dexpert_input, saved.v);
    gradients.decoder_bias = SumOfRows(step.dexpert_input);
    gradients.prototypes = Product(context, Transpose::kYes, Transpose::kNo, saved.q, dv);
    const Matrix<T> dq =
        Product(context, Transpose::kNo, Transpose::kYes, dv, parameters.prototypes);
    dlogits = SoftmaxRowsBackward(saved.q, dq, 1.0);
  }
  for (size_t i = 0; i < step.ids.size(); ++i) {
    const int64_t token = static_cast<int64_t>(i) / step.gates.columns;
    dlogits.row(token)[step.ids[i]] += dlogits_of_chosen.values[i];
  }
  Matrix<T> ds = dlogits;
  for (size_t i = 0; i < ds.values.size(); ++i) {
    step.gradients.log_temperature += saved.temperature * static_cast<double>(ds.values[i]) *
                                      static_cast<double>(saved.similarities.values[i]);
    ds.values[i] *= static_cast<T>(saved.temperature);
  }
  if (options.weights.soft_load == 0.0 || step.x.rows == 0) return ds;
  const double tokens = static_cast<double>(step.x.rows);
  Matrix<T> dsoft = SumOfRows(saved.soft);
  for (T& value : dsoft.values) {
    const double share = static_cast<double>(value) / tokens;
    value = static_cast<T>(options.weights.soft_load / tokens *
                           std::log(static_cast<double>(saved.soft.columns) * share));
  }
  auto all = Matrix<T>::Zeros(step.x.rows, saved.soft.columns);
  AddRow(dsoft, all);
  const Matrix<T> soft = SoftmaxRowsBackward(saved.soft, all, 1.0 / options.soft_load_temperature);
  for (size_t i = 0; i < ds.values.size(); ++i) ds.values[i] += soft.values[i];
  return ds;
}

// Through the norm and the activation; dx starts as what reached x through the experts.
template <typename T>
void EncodeBackward(const Context& context, const LprParameters<T>& parameters,
                    const Saved<T>& saved, const Matrix<T>& dmoments, LprStep<T>& step) {
  LprParameters<T>& gradients = step.gradients;
  gradients.weight = Product(context, Transpose::kYes, Transpose::kNo, dmoments, saved.a);
  gradients.bias = SumOfRows(dmoments);
  const Matrix<T> da =
      Product(context, Transpose::kNo, Transpose::kNo, dmoments, parameters.weight);
  Matrix<T> du = da;
  Matrix<T> du_xhat = da;
  for (size_t i = 0; i < du.values.size(); ++i) {
    const T sigma = Sigmoid(saved.u.values[i]);
    du.values[i] *= sigma * (T{1} + saved.u.values[i] * (T{1} - sigma));
    du_xhat.values[i] = du.values[i] * saved.xhat.values[i];
  }
  gradients.gain = SumOfRows(du_xhat);
  gradients.shift = SumOfRows(du);
  step.dx = step.dexpert_input;
  const T n = static_cast<T>(step.x.columns);
  for (int64_t t = 0; t < step.x.rows; ++t) {
    T mean = T{0};
    T projection = T{0};
    for (int64_t h = 0; h < step.x.columns; ++h) {
      mean += parameters.gain.row(0)[h] * du.row(t)[h] / n;
      projection += parameters.gain.row(0)[h] * du_xhat.row(t)[h] / n;
    }
    for (int64_t h = 0; h < step.x.columns; ++h) {
      step.dx.row(t)[h] +=
          saved.inverse_deviations[static_cast<size_t>(t)] *
          (parameters.gain.row(0)[h] * du.row(t)[h] - mean - saved.xhat.row(t)[h] * projection);
    }
  }
}

template <typename T>
Saved<T> Forward(const Context& context, const LprOptions& options, int top_k,
                 const LprParameters<T>& parameters, LprStep<T>& step) {
  Saved<T> saved;
  saved.temperature = options.temperature *
                      (options.learn_temperature ? std::exp(parameters.log_temperature) : 1.0);
  Encode(context, parameters, step.x, saved);
  saved.tokens = UnitRows(Columns(saved.moments, 0, parameters.prototypes.columns));
  saved.points = UnitRows(parameters.prototypes);
  saved.similarities = Cosines(saved.tokens.rows, saved.points.rows);
  saved.q = SoftmaxRows(saved.similarities, saved.temperature);
  saved.soft = SoftmaxRows(saved.similarities, 1.0 / options.soft_load_temperature);
  Choose(saved, top_k, step);
  step.expert_input = step.x;
  if (parameters.decoder.rows > 0) {
    saved.v = Product(context, Transpose::kNo, Transpose::kNo, saved.q, parameters.prototypes);
    const Matrix<T> decoded =
        Product(context, Transpose::kNo, Transpose::kYes, saved.v, parameters.decoder);
    for (size_t i = 0; i < decoded.values.size(); ++i) {
      step.expert_input.values[i] += decoded.values[i];
    }
    AddRow(parameters.decoder_bias, step.expert_input);
  }
  Align(context, top_k, step, saved);
  Losses(context, options, parameters, saved, step);
  return saved;
}

template <typename T>
void Backward(const Context& context, const LprOptions& options, const LprParameters<T>& parameters,
              const Saved<T>& saved, LprStep<T>& step) {
  const LprLossWeights& weights = options.weights;
  const int64_t dimensions = parameters.prototypes.columns;
  const double tokens = std::max(1.0, static_cast<double>(step.x.rows));
  step.gradients.prototypes = Matrix<T>::Zeros(parameters.prototypes.rows, dimensions);
  const Matrix<T> ds = SimilaritiesGradient(context, options, parameters, saved, step);
  Matrix<T> dtokens = Product(context, Transpose::kNo, Transpose::kNo, ds, saved.points.rows);
  Matrix<T> dpoints = Product(context, Transpose::kYes, Transpose::kNo, ds, saved.tokens.rows);
  AddDiversityGradient(context, weights.token_diversity, saved.tokens.rows, dtokens);
  AddDiversityGradient(context, weights.prototype_diversity, saved.points.rows, dpoints);
  Matrix<T> mean = SumOfRows(saved.tokens.rows);
  for (T& value : mean.values) {
    value *= static_cast<T>(2.0 * weights.mean_direction / (tokens * tokens));
  }
  AddRow(mean, dtokens);
  AddUnitRowsGradient(saved.points, dpoints, step.gradients.prototypes);
  for (size_t i = 0; i < saved.targets.values.size(); ++i) {
    const T distance = parameters.prototypes.values[i] - saved.targets.values[i];
    const double sign = distance > T{0} ? 1.0 : (distance < T{0} ? -1.0 : 0.0);
    step.gradients.prototypes.values[i] +=
        static_cast<T>(sign * weights.alignment / static_cast<double>(saved.targets.values.size()));
  }
  auto dmoments = Matrix<T>::Zeros(saved.moments.rows, saved.moments.columns);
  AddUnitRowsGradient(saved.tokens, dtokens, dmoments);
  for (int64_t t = 0; t < dmoments.rows; ++t) {
    for (int64_t d = 0; d < dmoments.columns; ++d) {
      const T value = saved.moments.row(t)[d];
      dmoments.row(t)[d] += static_cast<T>(weights.kl / tokens) *
                            (d < dimensions ? value : (std::exp(value) - T{1}) / T{2});
    }
  }
  EncodeBackward(context, parameters, saved, dmoments, step);
}

}  // namespace

template <typename T>
void RunLpr(const Context& context, const LprOptions& options, int top_k,
            const LprParameters<T>& parameters, LprStep<T>& step) {
  EQ_CHECK_EQ(options.similarity, "COSINE");
  EQ_CHECK_EQ(parameters.weight.rows,
              (options.log_variances ? 2 : 1) * parameters.prototypes.columns);
  const Saved<T> saved = Forward(context, options, top_k, parameters, step);
  Backward(context, options, parameters, saved, step);
}

template void RunLpr<float>(const Context&, const LprOptions&, int, const LprParameters<float>&,
                            LprStep<float>&);
template void RunLpr<double>(const Context&, const LprOptions&, int, const LprParameters<double>&,
                             LprStep<double>&);

}  // namespace equipoise::routing::reference
