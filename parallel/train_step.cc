#include "parallel/train_step.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "comm/collectives.h"
#include "comm/host_mirror.h"
#include "comm/measure_links.h"
#include "comm/topology.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/ops/elementwise.h"
#include "core/optim/clip.h"
#include "parallel/logical_nodes.h"
#include "routing/locality.h"

namespace equipoise::parallel {
namespace {

// Address space of each workspace; memory follows use.
constexpr size_t kWorkspaceBytes = size_t{1} << 37;
// Reasons to stop that ranks vote for.
constexpr int kNumVotes = 2;

LoadSource Resolve(const BatchOptions& options) {
  if (options.load_source != LoadSource::kAuto) return options.load_source;
  return options.accumulation_steps == 1 ? LoadSource::kCurrentStep : LoadSource::kPreviousStep;
}

}  // namespace

TrainStep::TrainStep(Device& device, comm::Communicator& world, const TrainOptions& options,
                     int num_domains)
    : options_(options),
      num_domains_(num_domains),
      world_(world),
      layout_(options.batch, world.size()),
      stream_(MakeCpuStream()) {
  context_.device = &device;
  context_.stream = stream_.get();
}

absl::StatusOr<std::unique_ptr<TrainStep>> TrainStep::Create(Device& device,
                                                             comm::Communicator& world,
                                                             const TrainOptions& options,
                                                             int num_domains) {
  EQ_CHECK_GE(num_domains, 1);
  if (options.batch.sequences < world.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch.sequences is ", options.batch.sequences, ", fewer than the ",
                     world.size(), " ranks: a rank would never see a token. Start at most ",
                     options.batch.sequences, " ranks or raise batch.sequences"));
  }
  std::unique_ptr<TrainStep> step(new TrainStep(device, world, options, num_domains));
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world, step->context_, step->CreateMemory(device),
                                         {.name = "agreeing that memory is there"}));
  EQ_RETURN_IF_ERROR(step->CreateModel(device));
  return step;
}

absl::Status TrainStep::CreateMemory(Device& device) {
  EQ_ASSIGN_OR_RETURN(scratch_, Workspace::Create(device, kWorkspaceBytes));
  EQ_ASSIGN_OR_RETURN(activations_, Workspace::Create(device, kWorkspaceBytes));
  context_.scratch = scratch_.get();
  context_.activations = activations_.get();
  const int64_t sequences = layout_.MaxMicroBatchSequences();
  const int64_t tokens = sequences * options_.batch.sequence_length;
  EQ_ASSIGN_OR_RETURN(tokens_, Tensor::Create(device, DType::kI32, {tokens}));
  EQ_ASSIGN_OR_RETURN(targets_, Tensor::Create(device, DType::kI32, {tokens}));
  EQ_ASSIGN_OR_RETURN(domains_, Tensor::Create(device, DType::kI32, {tokens}));
  EQ_ASSIGN_OR_RETURN(nodes_, Tensor::Create(device, DType::kI32, {tokens}));
  EQ_ASSIGN_OR_RETURN(losses_, Tensor::Create(device, DType::kF64, {tokens}));
  const int64_t held = layout_.OfRank(world_.rank()).size();
  host_tokens_.resize(
      static_cast<size_t>(std::max(held, sequences) * options_.batch.sequence_length));
  host_targets_.resize(host_tokens_.size());
  host_domains_.resize(host_tokens_.size());
  host_nodes_.resize(host_tokens_.size());
  host_losses_.resize(static_cast<size_t>(tokens));
  sample_.resize(static_cast<size_t>(options_.batch.sequence_length) + 1);
  sequence_domain_.resize(static_cast<size_t>(std::max(held, sequences)));
  return absl::OkStatus();
}

absl::Status TrainStep::CreateSums(Device& device) {
  host_domain_sums_.resize(votes_begin() + kNumVotes + exchange_log_->sums().size() +
                           route_counts_->values().size());
  const int64_t size = static_cast<int64_t>(host_domain_sums_.size());
  EQ_ASSIGN_OR_RETURN(domain_sums_, Tensor::Create(device, DType::kF64, {size}));
  return absl::OkStatus();
}

absl::StatusOr<ExchangeCosts> TrainStep::FindCosts() {
  ExchangeCosts costs;
  costs.row_bytes = options_.model.hidden * static_cast<int64_t>(SizeOf(options_.model.dtype));
  EQ_ASSIGN_OR_RETURN(topology_, comm::Topology::Discover(world_, context_));
  if (options_.model.num_dense_layers >= options_.model.num_layers) return costs;
  EQ_ASSIGN_OR_RETURN(const comm::ResolvedLinks resolved,
                      comm::ResolveLinks(world_, topology_, context_, options_.layout.links,
                                         {.inside_nodes = options_.layout.inside_nodes}));
  links_ = resolved.links;
  costs.links = MakeLinkEstimate(links_, resolved.measured);
  return costs;
}

void TrainStep::CreateLogs() {
  ExchangeLog::Options options;
  options.exchange = exchange_.get();
  options.world = topology_;
  const int ranks = mesh_->expert().size();
  for (int rank = 0; rank < ranks; ++rank) {
    options.world_rank.push_back(world_.rank() / ranks * ranks + rank);
  }
  options.group_rank = mesh_->expert().rank();
  options.num_layers = static_cast<int>(model_->routers().size());
  exchange_log_ = std::make_unique<ExchangeLog>(std::move(options));
  route_counts_.emplace(WhatToCount());
}

RouteCountOptions TrainStep::WhatToCount() const {
  const std::vector<const routing::Router*> routers = model_->routers();
  const routing::RouterOptions& router = options_.model.moe.router;
  RouteCountOptions counts;
  counts.layers = static_cast<int>(routers.size());
  counts.num_nodes = router.locality.num_nodes;
  counts.num_experts = router.num_experts;
  counts.top_k = router.top_k;
  if (!routers.empty()) counts.max_copies = static_cast<int>(routers[0]->max_copies_per_token());
  counts.every_steps = options_.consistency.every_steps;
  counts.segment = options_.consistency.segment;
  counts.cache_ratio = options_.consistency.cache_ratio;
  return counts;
}

absl::StatusOr<routing::ExpertPlacement> TrainStep::Place() {
  routing::LocalityOptions& locality = options_.model.moe.router.locality;
  EQ_ASSIGN_OR_RETURN(locality.num_nodes, ResolveNodes(topology_, options_));
  EQ_ASSIGN_OR_RETURN(routing::ExpertPlacement placement,
                      MakePlacement(options_, mesh_->expert().size()));
  stray_warning_ = DescribeStrays(topology_, placement, options_);
  return placement;
}

absl::Status TrainStep::CreateModel(Device& device) {
  EQ_ASSIGN_OR_RETURN(mesh_, Mesh::Create(world_, options_.layout.expert_parallel));
  comm::Communicator& experts = mesh_->expert();
  EQ_ASSIGN_OR_RETURN(const ExchangeCosts costs, FindCosts());
  EQ_ASSIGN_OR_RETURN(routing::ExpertPlacement placement, Place());
  EQ_ASSIGN_OR_RETURN(
      exchange_,
      MakeExpertExchange(options_.layout.exchange, experts, context_, std::move(placement),
                         {.costs = costs,
                          .num_chunks = options_.layout.exchange_chunks,
                          .inside_nodes = options_.layout.inside_nodes}));
  EQ_ASSIGN_OR_RETURN(model_, Transformer::Create(options_.model, options_.layout.recompute,
                                                  *exchange_, experts.rank(), parameters_));
  CreateLogs();
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(world_, context_, CreateSums(device),
                                         {.name = "agreeing that there is memory for sums"}));
  const int64_t alignment[kNumParameterGroups] = {world_.size(), mesh_->expert_data().size()};
  EQ_RETURN_IF_ERROR(comm::AgreeOnStatus(
      world_, context_, parameters_.Allocate(device, options_.model.dtype, alignment),
      {.name = "agreeing that there is memory for the parameters"}));
  parameters_.Initialize(device, options_.seed);
  EQ_ASSIGN_OR_RETURN(
      sync_, GradientSync::Create(device, *mesh_, parameters_, options_.layout.bucket_elements));
  EQ_ASSIGN_OR_RETURN(optimizer_, ShardedOptimizer::Create(device, *mesh_, parameters_, *sync_));
  EQ_ASSIGN_OR_RETURN(statistics_, RouterStatistics::Create(device, world_, model_->routers(),
                                                            Resolve(options_.batch)));
  EQ_ASSIGN_OR_RETURN(domain_loads_,
                      DomainLoads::Create(device, static_cast<int>(model_->routers().size()),
                                          num_domains_, options_.model.moe.router.num_experts));
  return absl::OkStatus();
}

absl::Status TrainStep::Read(const SampleSource& source, const HomeOfSample& home, uint64_t first,
                             SequenceRange range, const comm::WaitPlace& place) {
  const ScopedPhase phase(&timers_, Phase::kData);
  const auto read = [&]() -> absl::Status {
    const int64_t length = options_.batch.sequence_length;
    for (int64_t i = 0; i < range.size(); ++i) {
      int domain = 0;
      EQ_RETURN_IF_ERROR(source(first + static_cast<uint64_t>(range.begin + i), sample_, &domain));
      EQ_CHECK(domain >= 0 && domain < num_domains_) << "domain " << domain;
      sequence_domain_[static_cast<size_t>(i)] = domain;
      std::fill_n(host_domains_.begin() + i * length, length, static_cast<int32_t>(domain));
      const int node = home(static_cast<uint64_t>(range.begin + i), domain);
      std::fill_n(host_nodes_.begin() + i * length, length, static_cast<int32_t>(node));
      std::copy_n(sample_.begin(), length, host_tokens_.begin() + i * length);
      std::copy_n(sample_.begin() + 1, length, host_targets_.begin() + i * length);
    }
    return absl::OkStatus();
  };
  // What one rank cannot read must not leave the others waiting for it in a collective.
  return comm::AgreeOnStatus(world_, context_, read(),
                             {.name = "agreeing that every rank has its data", .place = place});
}

MicroBatch TrainStep::Upload(SequenceRange held, SequenceRange range) {
  const int64_t length = options_.batch.sequence_length;
  const auto begin = static_cast<size_t>((range.begin - held.begin) * length);
  const auto size = static_cast<size_t>(range.size() * length);
  MicroBatch batch;
  const TensorView tokens = tokens_.view().Rows(0, range.size() * length);
  const TensorView targets = targets_.view().Rows(0, range.size() * length);
  comm::MirrorToDevice<int32_t>(
      context_, std::span<const int32_t>(host_tokens_).subspan(begin, size), tokens);
  comm::MirrorToDevice<int32_t>(
      context_, std::span<const int32_t>(host_targets_).subspan(begin, size), targets);
  const TensorView domains = domains_.view().Rows(0, range.size() * length);
  comm::MirrorToDevice<int32_t>(
      context_, std::span<const int32_t>(host_domains_).subspan(begin, size), domains);
  batch.tokens = tokens;
  batch.domains = domains;
  if (locality().num_nodes > 1) {
    const TensorView nodes = nodes_.view().Rows(0, range.size() * length);
    comm::MirrorToDevice<int32_t>(
        context_, std::span<const int32_t>(host_nodes_).subspan(begin, size), nodes);
    batch.nodes = nodes;
  }
  batch.targets = targets;
  batch.sequence_length = length;
  batch.first_token = range.begin * length;
  return batch;
}

void TrainStep::Collect(SequenceRange held, SequenceRange range) {
  const int64_t length = options_.batch.sequence_length;
  const int64_t tokens = range.size() * length;
  const std::span<double> losses(host_losses_.data(), static_cast<size_t>(tokens));
  comm::MirrorToHost<double>(context_, losses_.view().Rows(0, tokens), losses);
  for (int64_t row = 0; row < tokens; ++row) {
    const int64_t sequence = range.begin - held.begin + row / length;
    const auto domain = static_cast<size_t>(sequence_domain_[static_cast<size_t>(sequence)]);
    host_domain_sums_[domain] += losses[static_cast<size_t>(row)];
    host_domain_sums_[domain + static_cast<size_t>(num_domains_)] += 1.0;
  }
}

absl::Status TrainStep::ReduceDomains(const comm::WaitPlace& place) {
  const TensorView sums = domain_sums_.view();
  comm::MirrorToDevice<double>(context_, host_domain_sums_, sums);
  EQ_RETURN_IF_ERROR(comm::AllReduce(world_, context_, sums, comm::ReduceOp::kSum,
                                     {.name = "all-reduce of the losses", .place = place}));
  comm::MirrorToHost<double>(context_, sums, std::span<double>(host_domain_sums_));
  return absl::OkStatus();
}

void TrainStep::CastVote(StopReason vote) {
  if (vote == StopReason::kNone) return;
  host_domain_sums_[votes_begin() + (vote == StopReason::kTime ? 0 : 1)] = 1.0;
}

StopReason TrainStep::CountVotes() const {
  const size_t first = votes_begin();
  if (host_domain_sums_[first + 1] > 0.0) return StopReason::kRequest;
  return host_domain_sums_[first] > 0.0 ? StopReason::kTime : StopReason::kNone;
}

absl::Status TrainStep::StartSync(int64_t first) {
  const ScopedPhase phase(&timers_, Phase::kGradientSync);
  return sync_->MarkComplete(context_, first);
}

absl::StatusOr<StepResult> TrainStep::ComputeGradient(const SampleSource& source, int64_t step,
                                                      const StopVote& vote) {
  const int64_t batch_tokens = layout_.StepTokens();
  const comm::WaitPlace place = {.step = step};
  last_step_ = step;
  const uint64_t first_sample = static_cast<uint64_t>((step - 1) * options_.batch.sequences);
  std::fill(host_domain_sums_.begin(), host_domain_sums_.end(), 0.0);
  for (const ParameterGroup group : {ParameterGroup::kReplicated, ParameterGroup::kExpert}) {
    Fill(context_, 0.0, parameters_.gradients(group));
  }
  statistics_->BeginStep(context_, batch_tokens);
  exchange_->BeginStep();
  exchange_log_->BeginStep();
  route_counts_->BeginStep(step);
  const StepContext step_context = {
      context_, &timers_, statistics_.get(), nullptr, exchange_log_.get(), &*route_counts_};
  const SequenceRange held = layout_.OfRank(world_.rank());
  const HomeOfSample home = [this](uint64_t sequence, int) {
    return routing::NodeOfSequence(static_cast<int64_t>(sequence), options_.batch.sequences,
                                   locality().num_nodes);
  };
  EQ_RETURN_IF_ERROR(Read(source, home, first_sample, held, place));
  const int micro_batches = options_.batch.accumulation_steps;
  for (int m = 0; m < micro_batches; ++m) {
    const SequenceRange range = layout_.OfMicroBatch(world_.rank(), m);
    MicroBatch batch = Upload(held, range);
    batch.step = step;
    batch.place = place;
    if (micro_batches > 1) batch.place.micro_batch = m + 1;
    statistics_->BeginMicroBatch(layout_.MicroBatchTokens(m));
    Transformer::OnComplete on_complete;
    if (m + 1 == micro_batches) {
      on_complete = [this](int64_t first) { return StartSync(first); };
    }
    const int64_t tokens = batch.tokens.dim(0);
    EQ_RETURN_IF_ERROR(model_->ForwardBackward(step_context, batch, batch_tokens,
                                               losses_.view().Rows(0, tokens), on_complete));
    Collect(held, range);
  }
  const ScopedPhase phase(&timers_, Phase::kGradientSync);
  EQ_RETURN_IF_ERROR(statistics_->EndStep(context_, place));
  if (vote) CastVote(vote());
  const std::span<double> telemetry[] = {exchange_log_->sums(), route_counts_->values()};
  auto place_of =
      host_domain_sums_.begin() + static_cast<std::ptrdiff_t>(votes_begin() + kNumVotes);
  for (const auto& sums : telemetry) place_of = std::copy(sums.begin(), sums.end(), place_of);
  EQ_RETURN_IF_ERROR(ReduceDomains(place));
  place_of -= std::ssize(telemetry[0]) + std::ssize(telemetry[1]);
  for (const auto& sums : telemetry) {
    std::copy_n(place_of, sums.size(), sums.begin());
    place_of += std::ssize(sums);
  }
  EQ_RETURN_IF_ERROR(sync_->Finish(place));
  StepResult result;
  result.step = step;
  result.tokens = batch_tokens;
  result.stop = CountVotes();
  Describe(result);
  return result;
}

void TrainStep::Describe(StepResult& result) const {
  const size_t domains = static_cast<size_t>(num_domains_);
  double total = 0.0;
  for (size_t d = 0; d < domains; ++d) {
    total += host_domain_sums_[d];
    result.domain_cross_entropy.push_back(host_domain_sums_[d]);
    result.domain_tokens.push_back(static_cast<int64_t>(host_domain_sums_[domains + d]));
  }
  result.cross_entropy = total / static_cast<double>(result.tokens);
  result.loss = result.cross_entropy;
  result.node_bytes = exchange_log_->NodeBytes();
  result.num_nodes = exchange_log_->num_nodes();
  for (int i = 0; i < comm::kNumLinkClasses && world_.size() > 1; ++i) {
    const auto link = static_cast<comm::LinkClass>(i);
    if (topology_.has(link)) result.links[link] = exchange_->links()[link];
  }
  if (!result.links.empty()) result.exchange_factors = exchange_->factors();
  const std::vector<const routing::Router*> routers = model_->routers();
  const std::vector<int> positions = model_->moe_layers();
  for (int i = 0; i < static_cast<int>(routers.size()); ++i) {
    MoeLayerResult layer;
    layer.layer = positions[static_cast<size_t>(i)];
    layer.sums = statistics_->Sums(i);
    layer.exchange = exchange_log_->OfLayer(i);
    layer.losses = routers[static_cast<size_t>(i)]->Losses(
        layer.sums, statistics_->tokens(), statistics_->Load(i), statistics_->load_tokens(i));
    for (const routing::LossTerm& term : layer.losses) result.loss += term.value;
    layer.routes = route_counts_->Layer(i);
    layer.figures = routers[static_cast<size_t>(i)]->Figures(layer.sums);
    result.layers.push_back(std::move(layer));
  }
}

absl::StatusOr<StepResult> TrainStep::Run(const SampleSource& source, int64_t step,
                                          const StopVote& vote) {
  timers_.StartStep();
  EQ_ASSIGN_OR_RETURN(StepResult result, ComputeGradient(source, step, vote));
  const ScopedPhase phase(&timers_, Phase::kOptimizer);
  result.learning_rate = LearningRate(options_.optimizer.schedule, step);
  EQ_ASSIGN_OR_RETURN(result.gradient_norm, optimizer_->GradientNorm(context_, {.step = step}));
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    return absl::DataLossError(absl::StrCat(
        "step ", step, ": loss is ", result.loss, " and the gradient's norm is ",
        result.gradient_norm, "; the parameters are those of step ", step - 1,
        ". Lower optimizer.schedule.peak or raise optimizer.schedule.warmup_steps, in a new run "
        "directory with checkpoint.resume naming an earlier checkpoint of this one"));
  }
  const double max_norm = options_.optimizer.max_gradient_norm;
  const double scale = max_norm > 0.0 ? ClipFactor(result.gradient_norm, max_norm) : 1.0;
  EQ_RETURN_IF_ERROR(
      optimizer_->Update(context_, options_.optimizer.adamw, step, result.learning_rate, scale));
  for (size_t i = 0; i < result.layers.size(); ++i) {
    model_->moe_layer(static_cast<int>(i)).EndStep(context_, result.layers[i].sums, result.tokens);
  }
  return result;
}

}  // namespace equipoise::parallel
