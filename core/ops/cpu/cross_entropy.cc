#include "core/ops/cpu/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "core/ops/cpu/gemm_kernel.h"
#include "core/ops/cpu/row_kernels.h"
#include "core/ops/cpu/softmax_kernels.h"

namespace equipoise::cpu {
namespace {

// The loss of one row. The logits become their softmax's numerators, of which `sum` is the sum.
template <typename T>
double LossOfRow(T* logits, int64_t vocabulary, int32_t target, double* sum) {
  EQ_CHECK(target >= 0 && target < vocabulary)
      << "target " << target << " of a vocabulary of " << vocabulary;
  const double target_logit = static_cast<double>(logits[target]);
  const T max = SoftmaxKernels<T>::Get().max(logits, vocabulary);
  *sum = SoftmaxKernels<T>::Get().exp_and_sum(max, logits, vocabulary);
  return std::log(*sum) + (static_cast<double>(max) - target_logit);
}

// Rows [begin, begin + rows) of the problem; `logits` is scratch of rows x V. Pointers to absent
// gradients are null.
template <typename T>
struct Chunk {
  int64_t rows;
  int64_t width;
  int64_t vocabulary;
  const T* x;
  const T* head;
  const int32_t* targets;
  double* losses;
  T* dx;
  T* dhead;
  T* logits;

  bool wants_gradient() const { return dx != nullptr || dhead != nullptr; }

  void ComputeLogits() const {
    GemmKernel<T>(Transpose::kNo, Transpose::kYes, rows, vocabulary, width, 1, x, width, head,
                  width, 0, logits, vocabulary);
  }

  // Fills `losses` and, when a gradient is wanted, turns the logits into gradient_scale times
  // softmax(logits) - onehot(target).
  void ComputeLosses(double gradient_scale) const {
    for (int64_t r = 0; r < rows; ++r) {
      T* row = logits + r * vocabulary;
      if (targets[r] == kIgnoredTarget) {
        losses[r] = 0.0;
        std::fill(row, row + vocabulary, T{0});
        continue;
      }
      double sum = 0.0;
      losses[r] = LossOfRow(row, vocabulary, targets[r], &sum);
      if (!wants_gradient()) continue;
      RowKernels<T>::Get().scale(static_cast<T>(gradient_scale / sum), row, row, vocabulary);
      row[targets[r]] -= static_cast<T>(gradient_scale);
    }
  }

  void ComputeGradients() const {
    if (dx != nullptr) {
      GemmKernel<T>(Transpose::kNo, Transpose::kNo, rows, width, vocabulary, 1, logits, vocabulary,
                    head, width, 0, dx, width);
    }
    if (dhead != nullptr) {
      GemmKernel<T>(Transpose::kYes, Transpose::kNo, vocabulary, width, rows, 1, logits, vocabulary,
                    x, width, 1, dhead, width);
    }
  }
};

template <typename T>
T* RowsOrNull(TensorView view, int64_t begin, int64_t end) {
  return view.absent() ? nullptr : view.Rows(begin, end).cpu<T>().data();
}

template <typename T>
void Run(const Context& context, const CrossEntropyOptions& options, ConstTensorView x,
         ConstTensorView head, ConstTensorView targets, TensorView losses, TensorView dx,
         TensorView dhead) {
  const WorkspaceFrame frame(*context.scratch);
  const int64_t tokens = x.dim(0), vocabulary = head.dim(0);
  const int64_t chunk_rows = std::min(options.chunk_rows, tokens);
  const TensorView logits = context.scratch->Allocate(x.dtype(), {chunk_rows, vocabulary});
  for (int64_t begin = 0; begin < tokens; begin += chunk_rows) {
    const int64_t end = std::min(begin + chunk_rows, tokens);
    const Chunk<T> chunk = {
        .rows = end - begin,
        .width = x.dim(1),
        .vocabulary = vocabulary,
        .x = x.Rows(begin, end).cpu<T>().data(),
        .head = head.cpu<T>().data(),
        .targets = targets.Rows(begin, end).cpu<int32_t>().data(),
        .losses = losses.Rows(begin, end).cpu<double>().data(),
        .dx = RowsOrNull<T>(dx, begin, end),
        .dhead = RowsOrNull<T>(dhead, 0, dhead.absent() ? 0 : vocabulary),
        .logits = logits.cpu<T>().data(),
    };
    chunk.ComputeLogits();
    chunk.ComputeLosses(options.gradient_scale);
    chunk.ComputeGradients();
  }
}

}  // namespace

void CrossEntropy(const Context& context, const CrossEntropyOptions& options, ConstTensorView x,
                  ConstTensorView head, ConstTensorView targets, TensorView losses, TensorView dx,
                  TensorView dhead) {
  DispatchFloat(x.dtype(), [&]<typename T>() {
    Run<T>(context, options, x, head, targets, losses, dx, dhead);
  });
}

}  // namespace equipoise::cpu
