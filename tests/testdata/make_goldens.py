#!/usr/bin/env python3
"""Writes golden_*.safetensors: ten training steps of small MoE models by PyTorch in double.

The models are written out plainly below, as the definition of what Equipoise must compute. Running
the tests does not need PyTorch; changing this file does:

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install torch
    /tmp/goldens/bin/python tests/testdata/make_goldens.py                # writes the files
    /tmp/goldens/bin/python tests/testdata/make_goldens.py --verify       # compares instead
    /tmp/goldens/bin/python tests/testdata/make_goldens.py --check-transformers
        # compares this file's logits with Hugging Face's Qwen3-MoE, Mixtral and GLM-4-MoE
        # (pip install transformers)

A golden file holds, with the names that Hugging Face's Qwen3-MoE gives to parameters:
    NAME              initial parameters, F64 holding values that a float represents exactly
    grad/NAME         gradient of the first step's loss, before clipping
    final/NAME        parameters after the last step
    tokens            I64 [steps, B, S + 1]; inputs are [:, :, :-1], targets [:, :, 1:]
    loss, cross_entropy, grad_norm      F64 [steps]; the norm before clipping
    balance_loss, z_loss                F64 [steps, layers], with coefficient; 0 for dense layers
and every hyper-parameter as a string in __metadata__.
"""

import argparse
import array
import dataclasses
import json
import math
import pathlib
import struct
import sys

import torch
import torch.nn.functional as F


@dataclasses.dataclass
class Config:
    name: str
    vocab_size: int = 43
    hidden_size: int = 20
    num_layers: int = 2
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 6
    qk_norm: bool = True
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e4
    tie_word_embeddings: bool = False
    # The first layers have one SwiGLU of `dense_width` in place of experts.
    num_dense_layers: int = 0
    dense_width: int = 14
    num_experts: int = 8
    top_k: int = 2
    expert_width: int = 10
    # A SwiGLU that every token visits, added to the routed output; 0 for none.
    shared_expert_width: int = 0
    score_function: str = "softmax"  # or "sigmoid"
    renormalize: bool = True
    routed_scaling_factor: float = 1.0
    balance_coefficient: float = 0.02
    z_coefficient: float = 0.003
    steps: int = 10
    batch_size: int = 4
    sequence_length: int = 11
    learning_rate: float = 1e-2
    beta1: float = 0.9
    beta2: float = 0.95
    adam_epsilon: float = 1e-8
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    seed: int = 1


GOLDENS = [
    Config("qwen3"),
    Config("qwen3_tied", tie_word_embeddings=True, renormalize=False, num_experts=5, top_k=3,
           expert_width=9, num_kv_heads=1, seed=13),
    # Between this run's smallest and largest gradient norm: some steps are clipped, some are not.
    Config("shared", qk_norm=False, num_dense_layers=1, shared_expert_width=7, max_grad_norm=1.5,
           seed=3),
    Config("sigmoid", qk_norm=False, num_dense_layers=1, shared_expert_width=7,
           score_function="sigmoid", routed_scaling_factor=2.5, top_k=3, num_kv_heads=4, seed=4),
]


# --- Parameters ---------------------------------------------------------------------------------


def swiglu_shapes(prefix, width, hidden):
    return {f"{prefix}.gate_proj.weight": (width, hidden),
            f"{prefix}.up_proj.weight": (width, hidden),
            f"{prefix}.down_proj.weight": (hidden, width)}


def layer_shapes(config, layer):
    prefix, hidden = f"model.layers.{layer}", config.hidden_size
    queries = config.num_heads * config.head_dim
    keys = config.num_kv_heads * config.head_dim
    shapes = {f"{prefix}.input_layernorm.weight": (hidden,),
              f"{prefix}.self_attn.q_proj.weight": (queries, hidden),
              f"{prefix}.self_attn.k_proj.weight": (keys, hidden),
              f"{prefix}.self_attn.v_proj.weight": (keys, hidden),
              f"{prefix}.self_attn.o_proj.weight": (hidden, queries)}
    if config.qk_norm:
        shapes[f"{prefix}.self_attn.q_norm.weight"] = (config.head_dim,)
        shapes[f"{prefix}.self_attn.k_norm.weight"] = (config.head_dim,)
    shapes[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
    if layer < config.num_dense_layers:
        return shapes | swiglu_shapes(f"{prefix}.mlp", config.dense_width, hidden)
    shapes[f"{prefix}.mlp.gate.weight"] = (config.num_experts, hidden)
    for expert in range(config.num_experts):
        shapes |= swiglu_shapes(f"{prefix}.mlp.experts.{expert}", config.expert_width, hidden)
    if config.shared_expert_width > 0:
        shapes |= swiglu_shapes(f"{prefix}.mlp.shared_experts", config.shared_expert_width, hidden)
    return shapes


def parameter_shapes(config):
    shapes = {"model.embed_tokens.weight": (config.vocab_size, config.hidden_size)}
    for layer in range(config.num_layers):
        shapes |= layer_shapes(config, layer)
    shapes["model.norm.weight"] = (config.hidden_size,)
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, config.hidden_size)
    return shapes


def initial_parameters(config):
    """Random, of a size that makes every gradient visible, and exactly representable as floats."""
    generator = torch.Generator().manual_seed(config.seed)
    parameters = {}
    for name, shape in parameter_shapes(config).items():
        values = torch.randn(shape, generator=generator, dtype=torch.float64)
        if len(shape) == 1:
            values = 1.0 + 0.1 * values
        elif name != "model.embed_tokens.weight" or config.tie_word_embeddings:
            values = values / math.sqrt(shape[1])
        parameters[name] = values.float().double().requires_grad_()
    return parameters


def random_tokens(config):
    generator = torch.Generator().manual_seed(1000 + config.seed)
    shape = (config.steps, config.batch_size, config.sequence_length + 1)
    return torch.randint(config.vocab_size, shape, generator=generator)


# --- The model ----------------------------------------------------------------------------------


def rms_norm(x, weight, epsilon):
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, theta):
    """Rotary embedding, rotate-half form; x [B, S, heads, D]."""
    half = x.shape[-1] // 2
    frequencies = theta ** (-torch.arange(half, dtype=x.dtype) / half)
    angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * frequencies
    cosine, sine = angles.cos()[:, None, :], angles.sin()[:, None, :]
    low, high = x[..., :half], x[..., half:]
    return torch.cat([low * cosine - high * sine, high * cosine + low * sine], dim=-1)


def attention(config, weights, prefix, x):
    """x [B, S, H]."""
    batch, length, _ = x.shape

    def project(which, heads):
        y = (x @ weights[f"{prefix}.{which}_proj.weight"].T).view(batch, length, heads, -1)
        if config.qk_norm and which != "v":
            y = rms_norm(y, weights[f"{prefix}.{which}_norm.weight"], config.rms_norm_eps)
        return y if which == "v" else rotate(y, config.rope_theta)

    group = config.num_heads // config.num_kv_heads
    q = project("q", config.num_heads)
    k = project("k", config.num_kv_heads).repeat_interleave(group, dim=2)
    v = project("v", config.num_kv_heads).repeat_interleave(group, dim=2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(config.head_dim)
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    p = scores.masked_fill(later, -math.inf).softmax(-1)
    out = torch.einsum("bhij,bjhd->bihd", p, v).reshape(batch, length, -1)
    return out @ weights[f"{prefix}.o_proj.weight"].T


def swiglu(weights, prefix, x):
    gate = x @ weights[f"{prefix}.gate_proj.weight"].T
    up = x @ weights[f"{prefix}.up_proj.weight"].T
    return (F.silu(gate) * up) @ weights[f"{prefix}.down_proj.weight"].T


@dataclasses.dataclass
class Routing:
    experts: torch.Tensor  # [T, K]
    gates: torch.Tensor  # [T, K]
    balance_loss: torch.Tensor
    z_loss: torch.Tensor
    margin: float  # the smallest gap between a chosen score and one that was not


def route(config, weights, prefix, x):
    """x [T, H]."""
    logits = x @ weights[f"{prefix}.gate.weight"].T
    scores = logits.softmax(-1) if config.score_function == "softmax" else logits.sigmoid()
    gates, experts = scores.topk(config.top_k, dim=-1)
    ranked = scores.detach().sort(dim=-1, descending=True).values
    margin = (ranked[:, config.top_k - 1] - ranked[:, config.top_k]).min().item()
    if config.renormalize:
        gates = gates / gates.sum(-1, keepdim=True)
    counts = torch.bincount(experts.flatten(), minlength=config.num_experts)
    share = counts.to(x.dtype) / (config.top_k * x.shape[0])
    probability = (scores / scores.sum(-1, keepdim=True)).mean(0)
    balance = config.balance_coefficient * config.num_experts * (share * probability).sum()
    z = config.z_coefficient * logits.logsumexp(-1).square().mean()
    return Routing(experts, gates * config.routed_scaling_factor, balance, z, margin)


def mixture(config, weights, prefix, x):
    """x [T, H] -> (output, Routing)."""
    routing = route(config, weights, prefix, x)
    y = torch.zeros_like(x)
    for expert in range(config.num_experts):
        token, slot = (routing.experts == expert).nonzero(as_tuple=True)
        out = swiglu(weights, f"{prefix}.experts.{expert}", x[token])
        y = y.index_add(0, token, routing.gates[token, slot, None] * out)
    if config.shared_expert_width > 0:
        y = y + swiglu(weights, f"{prefix}.shared_experts", x)
    return y, routing


def forward(config, weights, tokens):
    """tokens [B, S] -> (logits [B, S, V], one Routing or None a layer)."""
    hidden = weights["model.embed_tokens.weight"][tokens]
    routings = []
    for layer in range(config.num_layers):
        prefix = f"model.layers.{layer}"
        x = rms_norm(hidden, weights[f"{prefix}.input_layernorm.weight"], config.rms_norm_eps)
        hidden = hidden + attention(config, weights, f"{prefix}.self_attn", x)
        x = rms_norm(hidden, weights[f"{prefix}.post_attention_layernorm.weight"],
                     config.rms_norm_eps)
        if layer < config.num_dense_layers:
            y, routing = swiglu(weights, f"{prefix}.mlp", x), None
        else:
            y, routing = mixture(config, weights, f"{prefix}.mlp", x.flatten(0, 1))
        hidden = hidden + y.view_as(hidden)
        routings.append(routing)
    head = "model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"
    return rms_norm(hidden, weights["model.norm.weight"],
                    config.rms_norm_eps) @ weights[head].T, routings


# --- Training -----------------------------------------------------------------------------------


def make_optimizer(config, weights):
    """Matrices decay, norms do not."""
    groups = [{"params": [w for w in weights.values() if w.ndim >= 2],
               "weight_decay": config.weight_decay},
              {"params": [w for w in weights.values() if w.ndim < 2], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2),
                             eps=config.adam_epsilon)


def column(routings, field):
    zero = torch.zeros((), dtype=torch.float64)
    return torch.stack([zero if r is None else getattr(r, field) for r in routings])


def train(config):
    """Returns (tensors of the golden file, smallest margin of a routing decision)."""
    weights = initial_parameters(config)
    tokens = random_tokens(config)
    result = {name: w.detach().clone() for name, w in weights.items()}
    series = {key: [] for key in ("loss", "cross_entropy", "balance_loss", "z_loss", "grad_norm")}
    optimizer = make_optimizer(config, weights)
    margin = math.inf
    for step in range(config.steps):
        optimizer.zero_grad()
        logits, routings = forward(config, weights, tokens[step, :, :-1])
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), tokens[step, :, 1:].flatten())
        balance, z = column(routings, "balance_loss"), column(routings, "z_loss")
        loss = cross_entropy + balance.sum() + z.sum()
        loss.backward()
        if step == 0:
            result |= {f"grad/{name}": w.grad.clone() for name, w in weights.items()}
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), config.max_grad_norm)
        optimizer.step()
        for key, value in zip(series, (loss, cross_entropy, balance, z, norm)):
            series[key].append(value.detach())
        margin = min([margin] + [r.margin for r in routings if r is not None])
    result |= {f"final/{name}": w.detach() for name, w in weights.items()}
    result |= {key: torch.stack(values) for key, values in series.items()}
    return result | {"tokens": tokens}, margin


# --- Files --------------------------------------------------------------------------------------


def write_safetensors(path, tensors, metadata):
    header, blobs, offset = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        is_float = tensor.dtype == torch.float64
        blob = array.array("d" if is_float else "q", tensor.flatten().tolist()).tobytes()
        header[name] = {"dtype": "F64" if is_float else "I64", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = array.array("d" if entry["dtype"] == "F64" else "q", raw[begin:end])
        tensors[name] = torch.tensor(values.tolist(), dtype=torch.float64 if entry["dtype"] == "F64"
                                     else torch.int64).reshape(entry["shape"])
    return tensors


def metadata(config, margin):
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    result = {key: text(value) for key, value in dataclasses.asdict(config).items()}
    return result | {"smallest_top_k_margin": f"{margin:.3g}", "torch": torch.__version__,
                     "made_by": "tests/testdata/make_goldens.py"}


def worst_difference(actual, expected):
    """The largest difference relative to its tensor's largest element, and where."""
    worst = (0.0, "")
    for name, tensor in expected.items():
        scale = max(tensor.abs().max().item(), 1e-300)
        difference = (actual[name] - tensor).abs().max().item() / scale
        worst = max(worst, (difference, name))
    return worst


def run_golden(config, folder, verify):
    tensors, margin = train(config)
    path = folder / f"golden_{config.name}.safetensors"
    if not verify:
        write_safetensors(path, tensors, metadata(config, margin))
    difference, where = worst_difference(tensors, read_safetensors(path))
    print(f"{path.name}: {path.stat().st_size} bytes, loss {tensors['loss'][0]:.6f} -> "
          f"{tensors['loss'][-1]:.6f}, gradient norms {tensors['grad_norm'].min():.3f} to "
          f"{tensors['grad_norm'].max():.3f}, smallest top-k margin {margin:.2g}, worst relative "
          f"difference to the file {difference:.2g} {where}")
    return difference < 1e-9 and margin > 5e-5


# --- Cross-check with Hugging Face --------------------------------------------------------------


def common_keys(config):
    return dict(vocab_size=config.vocab_size, hidden_size=config.hidden_size,
                num_hidden_layers=config.num_layers, num_attention_heads=config.num_heads,
                num_key_value_heads=config.num_kv_heads, head_dim=config.head_dim,
                num_experts_per_tok=config.top_k, rms_norm_eps=config.rms_norm_eps,
                rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
                rope_theta=config.rope_theta, max_position_embeddings=64,
                tie_word_embeddings=config.tie_word_embeddings, attention_bias=False,
                attn_implementation="eager", experts_implementation="eager")


def hugging_face_model(config, family):
    import transformers
    common = common_keys(config)
    if family == "qwen3_moe":
        return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
            num_experts=config.num_experts, moe_intermediate_size=config.expert_width,
            norm_topk_prob=config.renormalize, decoder_sparse_step=1, mlp_only_layers=[], **common))
    if family == "mixtral":
        return transformers.MixtralForCausalLM(transformers.MixtralConfig(
            num_local_experts=config.num_experts, intermediate_size=config.expert_width,
            sliding_window=None, **common))
    return transformers.Glm4MoeForCausalLM(transformers.Glm4MoeConfig(
        n_routed_experts=config.num_experts, moe_intermediate_size=config.expert_width,
        intermediate_size=config.dense_width, n_shared_experts=1, n_group=1, topk_group=1,
        first_k_dense_replace=config.num_dense_layers, norm_topk_prob=config.renormalize,
        routed_scaling_factor=config.routed_scaling_factor, use_qk_norm=config.qk_norm,
        partial_rotary_factor=1.0, **common))


def fused_experts(config, weights, name):
    """Recent versions of transformers hold the experts of a layer in two tensors."""
    prefix = name.rsplit(".", 1)[0]

    def stack(which):
        return torch.stack([weights[f"{prefix}.{expert}.{which}_proj.weight"]
                            for expert in range(config.num_experts)])

    if name.endswith("down_proj"):
        return stack("down")
    return torch.cat([stack("gate"), stack("up")], dim=1)


def load(config, weights, model):
    state = model.state_dict()
    for name in state:
        if name in weights:
            state[name] = weights[name]
        elif name.endswith((".experts.gate_up_proj", ".experts.down_proj")):
            state[name] = fused_experts(config, weights, name)
        elif name.endswith("e_score_correction_bias"):
            state[name] = torch.zeros_like(state[name])
        elif not (name == "lm_head.weight" and config.tie_word_embeddings):
            raise ValueError(f"no value for {name}")
    if config.tie_word_embeddings:
        state["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict({name: tensor.detach() for name, tensor in state.items()})


def check_transformers():
    """Hugging Face computes norms, softmax and rotations in float: so does the tolerance."""
    plain = dict(qk_norm=False, seed=5)
    cases = [(GOLDENS[0], "qwen3_moe"), (GOLDENS[1], "qwen3_moe"),
             (Config("mixtral", **plain), "mixtral"),
             # One width for the shared expert and the routed ones there.
             (Config("glm4", num_dense_layers=1, shared_expert_width=10, score_function="sigmoid",
                     routed_scaling_factor=2.5, top_k=3, **plain), "glm4_moe")]
    good = True
    for config, family in cases:
        weights = initial_parameters(config)
        tokens = random_tokens(config)[0, :, :-1]
        model = hugging_face_model(config, family).double().eval()
        load(config, weights, model)
        with torch.no_grad():
            expected = forward(config, weights, tokens)[0]
            actual = model(input_ids=tokens).logits.double()
        difference = ((actual - expected).abs().max() / expected.abs().max()).item()
        print(f"{config.name} against {family}: worst difference {difference:.2g} of the largest "
              f"logit {expected.abs().max():.3g}")
        good = good and difference < 1e-5
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--verify", action="store_true", help="compare with the files, write none")
    parser.add_argument("--check-transformers", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.check_transformers:
        return 0 if check_transformers() else 1
    good = [run_golden(config, arguments.out, arguments.verify) for config in GOLDENS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
