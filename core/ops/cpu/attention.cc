// Block attention. What holds throughout:
//  1. A block is up to kQueryBlock query rows against up to kKeyBlock keys of one head. Keys that
//     no row of the block may see are not in it, so work wasted on the causal mask is at most half
//     of a kQueryBlock x kQueryBlock square per query block.
//  2. Every row of a block sees at least the block's first key (kKeyBlock is a multiple of
//     kQueryBlock), so a row's maximum is always that of some real score.
//  3. Columns past a row's last visible key are zero before a block of probabilities or of their
//     gradients enters a matrix product.
//  4. Blocks run in a fixed order: sequence, head, queries, keys, all ascending. Sums into dk and
//  dv
//     (over query rows and the heads that share a key-value head) have that order.

#include "core/ops/cpu/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/ops/cpu/gemm_kernel.h"
#include "core/ops/cpu/row_kernels.h"
#include "core/ops/cpu/softmax_kernels.h"

namespace equipoise::cpu {
namespace {

// 64 x 256 floats of scores (64 KiB), twice in the backward, stay in a second-level cache.
constexpr int64_t kQueryBlock = 64;
constexpr int64_t kKeyBlock = 256;
static_assert(kKeyBlock % kQueryBlock == 0, "invariant 2");

struct Geometry {
  int64_t num_sequences;
  int64_t sequence_length;
  int64_t query_heads;
  int64_t kv_heads;
  int64_t head_dim;

  int64_t query_stride() const { return query_heads * head_dim; }
  int64_t kv_stride() const { return kv_heads * head_dim; }
  double scale() const { return 1.0 / std::sqrt(static_cast<double>(head_dim)); }
  // Offset of row 0 of a sequence for a query head, and for the key-value head that it reads.
  int64_t QueryOffset(int64_t sequence, int64_t head) const {
    return sequence * sequence_length * query_stride() + head * head_dim;
  }
  int64_t KvOffset(int64_t sequence, int64_t head) const {
    const int64_t kv_head = head / (query_heads / kv_heads);
    return sequence * sequence_length * kv_stride() + kv_head * head_dim;
  }
  int64_t StatisticsOffset(int64_t sequence, int64_t head) const {
    return sequence * sequence_length * query_heads + head;
  }
};

Geometry GeometryOf(int64_t sequence_length, ConstTensorView q, ConstTensorView k) {
  return {q.dim(0) / sequence_length, sequence_length, q.dim(1), k.dim(1), q.dim(2)};
}

// Rows and columns count from the start of their sequence.
struct Block {
  int64_t query_begin;
  int64_t rows;
  int64_t key_begin;
  int64_t cols;

  // Keys of this block that row r may see.
  int64_t Visible(int64_t r) const { return std::min(cols, query_begin + r - key_begin + 1); }
};

// Calls body(block) for the key blocks that a block of query rows may see.
template <typename Body>
void ForEachKeyBlock(int64_t query_begin, int64_t rows, Body&& body) {
  const int64_t num_keys = query_begin + rows;
  for (int64_t begin = 0; begin < num_keys; begin += kKeyBlock) {
    body(Block{query_begin, rows, begin, std::min(kKeyBlock, num_keys - begin)});
  }
}

// Calls body(sequence, head, query_begin, rows) for every block of query rows.
template <typename Body>
void ForEachQueryBlock(const Geometry& geometry, Body&& body) {
  for (int64_t sequence = 0; sequence < geometry.num_sequences; ++sequence) {
    for (int64_t head = 0; head < geometry.query_heads; ++head) {
      for (int64_t begin = 0; begin < geometry.sequence_length; begin += kQueryBlock) {
        body(sequence, head, begin, std::min(kQueryBlock, geometry.sequence_length - begin));
      }
    }
  }
}

template <typename T>
T* ScratchBlock(const Context& context) {
  return context.scratch->Allocate(DTypeOf<T>::value, {kQueryBlock, kKeyBlock})
      .template cpu<T>()
      .data();
}

// block [rows, cols] = alpha * rows of `a` times keys or values `b` transposed.
template <typename T>
void ScoreBlock(const Geometry& geometry, const Block& block, double alpha, const T* a, const T* b,
                T* scores) {
  GemmKernel<T>(Transpose::kNo, Transpose::kYes, block.rows, block.cols, geometry.head_dim, alpha,
                a + block.query_begin * geometry.query_stride(), geometry.query_stride(),
                b + block.key_begin * geometry.kv_stride(), geometry.kv_stride(), 0.0, scores,
                block.cols);
}

// Softmax that meets a row's scores block by block (Milakov and Gimelshein, "Online normalizer
// calculation for softmax", 2018): relative to the largest score so far.
template <typename T>
struct RunningSoftmax {
  std::array<T, kQueryBlock> max;
  std::array<double, kQueryBlock> sum;

  RunningSoftmax() {
    max.fill(-std::numeric_limits<T>::infinity());
    sum.fill(0.0);
  }

  // Scores become exp(score - max); sums so far, and rows of `out`, move to the new maximum.
  void Fold(const Geometry& geometry, const Block& block, T* scores, T* out) {
    const auto& softmax = SoftmaxKernels<T>::Get();
    for (int64_t r = 0; r < block.rows; ++r) {
      T* row = scores + r * block.cols;
      const int64_t visible = block.Visible(r);
      const size_t i = static_cast<size_t>(r);
      const T old_max = max[i];
      max[i] = std::max(old_max, softmax.max(row, visible));
      if (block.key_begin > 0 && max[i] > old_max) {
        const double shrink = std::exp(static_cast<double>(old_max) - static_cast<double>(max[i]));
        sum[i] *= shrink;
        T* out_row = out + r * geometry.query_stride();
        RowKernels<T>::Get().scale(static_cast<T>(shrink), out_row, out_row, geometry.head_dim);
      }
      sum[i] += softmax.exp_and_sum(max[i], row, visible);
      std::fill(row + visible, row + block.cols, T{0});
    }
  }
};

template <typename T>
struct ForwardPointers {
  const T* q;
  const T* k;
  const T* v;
  T* out;
  T* log_sum_exp;
};

// One head of one sequence, query rows [begin, begin + rows).
template <typename T>
void ForwardRows(const Geometry& geometry, const ForwardPointers<T>& head, int64_t begin,
                 int64_t rows, T* scores) {
  RunningSoftmax<T> softmax;
  T* out = head.out + begin * geometry.query_stride();
  ForEachKeyBlock(begin, rows, [&](const Block& block) {
    ScoreBlock(geometry, block, geometry.scale(), head.q, head.k, scores);
    softmax.Fold(geometry, block, scores, out);
    GemmKernel<T>(Transpose::kNo, Transpose::kNo, rows, geometry.head_dim, block.cols, 1.0, scores,
                  block.cols, head.v + block.key_begin * geometry.kv_stride(), geometry.kv_stride(),
                  block.key_begin == 0 ? 0.0 : 1.0, out, geometry.query_stride());
  });
  for (int64_t r = 0; r < rows; ++r) {
    const size_t i = static_cast<size_t>(r);
    T* out_row = out + r * geometry.query_stride();
    RowKernels<T>::Get().scale(static_cast<T>(1.0 / softmax.sum[i]), out_row, out_row,
                               geometry.head_dim);
    head.log_sum_exp[(begin + r) * geometry.query_heads] =
        static_cast<T>(static_cast<double>(softmax.max[i]) + std::log(softmax.sum[i]));
  }
}

template <typename T>
struct BackwardPointers {
  const T* q;
  const T* k;
  const T* v;
  const T* out;
  const T* log_sum_exp;
  const T* dout;
  T* dq;
  T* dk;
  T* dv;
};

// Scores become probabilities p; dp becomes the scores' gradient p * (dp - delta).
template <typename T>
void DifferentiateSoftmax(const Block& block, const T* log_sum_exp, int64_t stride, const T* delta,
                          T* scores, T* dp) {
  for (int64_t r = 0; r < block.rows; ++r) {
    const int64_t visible = block.Visible(r);
    T* score_row = scores + r * block.cols;
    T* dp_row = dp + r * block.cols;
    SoftmaxKernels<T>::Get().backward(log_sum_exp[(block.query_begin + r) * stride], delta[r],
                                      score_row, dp_row, visible);
    std::fill(score_row + visible, score_row + block.cols, T{0});
    std::fill(dp_row + visible, dp_row + block.cols, T{0});
  }
}

// From a block of p and of score gradients ds: dv += p^T dout, dq (+)= ds k, dk += ds^T q.
template <typename T>
void AccumulateGradients(const Geometry& geometry, const Block& block,
                         const BackwardPointers<T>& head, const T* p, const T* ds) {
  const int64_t q_stride = geometry.query_stride(), kv_stride = geometry.kv_stride();
  const int64_t q_begin = block.query_begin * q_stride, k_begin = block.key_begin * kv_stride;
  const double scale = geometry.scale();
  GemmKernel<T>(Transpose::kYes, Transpose::kNo, block.cols, geometry.head_dim, block.rows, 1.0, p,
                block.cols, head.dout + q_begin, q_stride, 1.0, head.dv + k_begin, kv_stride);
  GemmKernel<T>(Transpose::kNo, Transpose::kNo, block.rows, geometry.head_dim, block.cols, scale,
                ds, block.cols, head.k + k_begin, kv_stride, block.key_begin == 0 ? 0.0 : 1.0,
                head.dq + q_begin, q_stride);
  GemmKernel<T>(Transpose::kYes, Transpose::kNo, block.cols, geometry.head_dim, block.rows, scale,
                ds, block.cols, head.q + q_begin, q_stride, 1.0, head.dk + k_begin, kv_stride);
}

template <typename T>
void BackwardRows(const Geometry& geometry, const BackwardPointers<T>& head, int64_t begin,
                  int64_t rows, T* scores, T* dp) {
  // sum_j p_j dp_j of a row, without the row: <out, dout>, since out = sum_j p_j v_j.
  std::array<T, kQueryBlock> delta;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t offset = (begin + r) * geometry.query_stride();
    delta[static_cast<size_t>(r)] = static_cast<T>(
        RowKernels<T>::Get().dot(head.out + offset, head.dout + offset, geometry.head_dim));
  }
  ForEachKeyBlock(begin, rows, [&](const Block& block) {
    ScoreBlock(geometry, block, geometry.scale(), head.q, head.k, scores);
    ScoreBlock(geometry, block, 1.0, head.dout, head.v, dp);
    DifferentiateSoftmax(block, head.log_sum_exp, geometry.query_heads, delta.data(), scores, dp);
    AccumulateGradients(geometry, block, head, scores, dp);
  });
}

template <typename T>
void Forward(const Context& context, const Geometry& geometry, const ForwardPointers<T>& all) {
  const WorkspaceFrame frame(*context.scratch);
  T* scores = ScratchBlock<T>(context);
  ForEachQueryBlock(geometry, [&](int64_t sequence, int64_t head, int64_t begin, int64_t rows) {
    const int64_t q = geometry.QueryOffset(sequence, head);
    const int64_t kv = geometry.KvOffset(sequence, head);
    const ForwardPointers<T> one = {all.q + q, all.k + kv, all.v + kv, all.out + q,
                                    all.log_sum_exp + geometry.StatisticsOffset(sequence, head)};
    ForwardRows(geometry, one, begin, rows, scores);
  });
}

template <typename T>
void Backward(const Context& context, const Geometry& geometry, const BackwardPointers<T>& all) {
  const WorkspaceFrame frame(*context.scratch);
  T* scores = ScratchBlock<T>(context);
  T* dp = ScratchBlock<T>(context);
  ForEachQueryBlock(geometry, [&](int64_t sequence, int64_t head, int64_t begin, int64_t rows) {
    const int64_t q = geometry.QueryOffset(sequence, head);
    const int64_t kv = geometry.KvOffset(sequence, head);
    const BackwardPointers<T> one = {all.q + q,
                                     all.k + kv,
                                     all.v + kv,
                                     all.out + q,
                                     all.log_sum_exp + geometry.StatisticsOffset(sequence, head),
                                     all.dout + q,
                                     all.dq + q,
                                     all.dk + kv,
                                     all.dv + kv};
    BackwardRows(geometry, one, begin, rows, scores, dp);
  });
}

}  // namespace

void AttentionForward(const Context& context, int64_t sequence_length, ConstTensorView q,
                      ConstTensorView k, ConstTensorView v, TensorView out,
                      TensorView log_sum_exp) {
  DispatchFloat(q.dtype(), [&]<typename T>() {
    Forward<T>(context, GeometryOf(sequence_length, q, k),
               {q.cpu<T>().data(), k.cpu<T>().data(), v.cpu<T>().data(), out.cpu<T>().data(),
                log_sum_exp.cpu<T>().data()});
  });
}

void AttentionBackward(const Context& context, int64_t sequence_length, const AttentionSaved& saved,
                       ConstTensorView dout, TensorView dq, TensorView dk, TensorView dv) {
  DispatchFloat(saved.q.dtype(), [&]<typename T>() {
    // Blocks add to these; dq's first block overwrites.
    std::fill(dk.cpu<T>().begin(), dk.cpu<T>().end(), T{0});
    std::fill(dv.cpu<T>().begin(), dv.cpu<T>().end(), T{0});
    Backward<T>(context, GeometryOf(sequence_length, saved.q, saved.k),
                {saved.q.cpu<T>().data(), saved.k.cpu<T>().data(), saved.v.cpu<T>().data(),
                 saved.out.cpu<T>().data(), saved.log_sum_exp.cpu<T>().data(), dout.cpu<T>().data(),
                 dq.cpu<T>().data(), dk.cpu<T>().data(), dv.cpu<T>().data()});
  });
}

}  // namespace equipoise::cpu
