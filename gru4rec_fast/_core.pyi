"""The C++ data side (session store, lane scheduler, negative sampler, row merge, dropout masks) and
the CPU engine (training, ranks, best items).

Letters: E events, B lanes, T planned steps of a block, M live lanes of a step, S negatives,
U unique rows of a step, V items, H units of a layer, R feature rows.

Every function releases the GIL while it works. Every array that it returns is freshly allocated,
C-contiguous, and owned by the caller, except the views of a `SessionStore`, which are read-only.
Arguments must have the dtype stated here: nothing is cast. Errors are `ValueError`s that name the
value, what was expected and the remedy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Matrix = NDArray[np.float32] | NDArray[np.float64]

class SessionStore:
    """Events grouped by session and ordered by time within each (ties keep the input order).

    `session` holds codes 0..n_sessions-1 in ascending order of the session ids, `item` codes
    0..V-1, `time` int64 or float64. All three have length E. Every code must occur.
    """

    def __init__(
        self, session: Int64, item: Int32, time: Int64 | NDArray[np.float64], n_sessions: int
    ) -> None: ...
    @property
    def items(self) -> Int32:
        """(E,) items, session after session; a view without copy."""
    @property
    def offsets(self) -> Int64:
        """(n_sessions + 1,) session s holds items[offsets[s]:offsets[s + 1]]; a view."""
    @property
    def rows(self) -> Int64:
        """(E,) the input row that each event came from; a view."""
    def order_by_time(self) -> Int64:
        """(n_sessions,) sessions by time of their first event, ties by session code."""
    def order_by_appearance(self) -> Int64:
        """(n_sessions,) sessions by the first input row that mentions them."""

class LaneBlock:
    """T consecutive steps of B lanes. Beyond `live[t]` lanes a row of step t holds item 0,
    restart 0, source -1, event -1."""

    inputs: Int32
    """(T, B) current item of each live lane."""
    targets: Int32
    """(T, B) next item of the same session."""
    restarts: UInt8
    """(T, B) 1 where the lane's session starts at this step: its state is zero before it."""
    source: Int32
    """(T, B) lane of the previous step whose state this lane continues. Differs from the
    lane's own number only after a lane to its left died."""
    events: Int64
    """(T, B) index into `items` of the input event; the target is the event after it."""
    live: Int32
    """(T,) live lanes M of each step."""

class SessionPermutation:
    """A random order of n sessions that is computed: place -> session, one to one.

    A Feistel network of 8 rounds on b = max(2, ceil(log2 n)) bits, applied until the result is
    below n. Even rounds replace the high b // 2 bits, odd rounds the rest: exclusive or with word 0
    of Philox 4x32-10 with key = seed and counter (other part, epoch low, epoch high, 0xF0000000 +
    round).
    """

    def __init__(self, n: int, seed: int, epoch: int) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, place: int) -> int: ...

class LaneScheduler:
    """Session-parallel mini-batches (Hidasi et al. 2016, section 3.1.1; spec section 2).

    Lanes are filled in rounds: all free lanes, in lane order, take the next sessions of
    `order`; a lane that got a session without a pair is free again in the next round.
    The epoch ends when fewer than `min_live` lanes live. `order` may name any of the sessions, and
    a plan does not depend on the blocks it is cut into. Arrays may be memory maps: nothing of them
    is read, or checked, before its turn, but the ends of `offsets`.
    """

    def __init__(
        self,
        items: Int32,
        offsets: Int64,
        order: Int64 | SessionPermutation,
        lanes: int,
        min_live: int = 1,
    ) -> None: ...
    def plan(self, steps: int) -> LaneBlock:
        """The next at most `steps` steps; T = 0 when the epoch is over."""

class IntegerNumbering:
    """Numbers integer ids 0, 1, ... in order of first appearance, batch after batch."""

    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def number(self, ids: Int64) -> Int32:
        """(n,) the number of each id. ValueError from 2^31 - 1 different ids on."""
    @property
    def ids(self) -> Int64:
        """A copy of the ids, by number."""

class TextNumbering:
    """Numbers texts 0, 1, ... in order of first appearance, batch after batch."""

    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def number(self, offsets: Int64, bytes: UInt8) -> Int64:  # noqa: A002
        """(n,) the number of each text; text i is bytes[offsets[i]:offsets[i + 1]]."""
    def sorted(self) -> Int64:
        """All numbers, in ascending order of the texts' bytes."""
    @property
    def offsets(self) -> Int64:
        """A copy, (n + 1,)."""
    @property
    def bytes(self) -> UInt8:
        """A copy: text after text, by number."""

class EventPartitions:
    """Groups events by session with `memory` bytes, in files of `folder` beyond that.

    Parts come in ascending order of sessions, each of whole sessions, whose events go by time and
    then by row. Rows count from 0 in the order in which events were added. RuntimeError for a file
    that cannot be written or read.
    """

    def __init__(self, folder: str, memory: int) -> None: ...
    def add(self, session: Int64, item: Int32, time: Int64) -> None: ...
    def relabel(self, label: Int64) -> None:
        """Put label[s] in place of each session s."""
    def next(self) -> tuple[Int64, Int32, Int64, Int64]:
        """Session, item, time and row of the next part; empty at the end."""
    @property
    def rows(self) -> int: ...
    @property
    def spilled_bytes(self) -> int:
        """What was written to files so far."""

def read_integer_fields(
    block: UInt8, separator: str, id_columns: list[int], time_column: int, n_columns: int
) -> list[Any] | None:
    """The columns of whole lines of text, int64 each; times float64 if one has decimals.

    None for a block with an id that is no integer in its one notation, a time that is no plain
    number, another number of fields, quotes, or characters beyond ASCII.
    """

class NegativeSampler:
    """Items drawn with probability weight / sum(weights), with replacement (Walker's alias table).

    Weights are rounded to integers that sum to V * 2^32 exactly, and no item of positive weight
    is out of reach. Each probability is off by less than 2^-32 / V, plus what float64 rounds,
    unless millions of weights lie below 2^-32 of the mean weight. The draw is a function of
    (seed, step, position) alone: word pairs (w0, w1) of Philox 4x32-10 with key = seed and counter
    (position // 2, step low, step high, stream 0), the first pair for even positions. With
    u = w0 * 2^32 + w1, the slot is u * V >> 64 and the fraction bits 32..63 of u * V.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None: ...
    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(V,) the probabilities that the table really has."""
    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
        """(steps, n) items of steps first_step .. first_step + steps - 1."""

class MergedRows:
    """Each step's columns (M targets, then S negatives) and inputs as unique rows.

    Scored rows come first, in order of first appearance among the columns, then the rows that
    are inputs only. Padding beyond `touched[t]` holds row 0 and counts 0.
    """

    rows: Int32
    """(T, U) unique items; U = the largest `touched`."""
    target_count: Int32
    """(T, U) how many of the step's targets are this item."""
    sample_count: Int32
    """(T, U) how many of the step's negatives are this item."""
    target_row: Int32
    """(T, B) index into the step's rows of each lane's target, -1 for dead lanes."""
    input_row: Int32
    """(T, B) index into the step's rows of each lane's input, -1 for dead lanes."""
    scored: Int32
    """(T,) rows that have a score."""
    touched: Int32
    """(T,) rows that are scored or read as input."""

def merge_rows(inputs: Int32, targets: Int32, live: Int32, negatives: Int32) -> MergedRows:
    """Merge the columns and inputs of T planned steps; `negatives` is (T, S), S >= 0."""

def copy_rows(to: Matrix, to_rows: Int64, from_: Matrix, from_rows: Int64) -> None:
    """to[to_rows] = from_[from_rows]; contiguous matrices of one type, float32 or float64.

    Raises:
        ValueError: for another type or shape, or a row that does not exist.
    """

def sum_rows(total: Matrix, parts: Sequence[Matrix], rows: Int64 | None = None) -> None:
    """total = parts[0][rows] + parts[1][rows] + ..., added up in that order; None for all rows.

    Raises:
        ValueError: as `copy_rows`.
    """

def dropout_mask(seed: int, step: int, site: int, rows: int, columns: int, p: float) -> Float32:
    """(rows, columns) inverted-dropout factors: 0 with probability p, else 1 / (1 - p).

    Element e = row * columns + column is word e % 4 of Philox 4x32-10 with key = seed and counter
    (e // 4, step low, step high, stream 1 + site); it is dropped where word < round(p * 2^32).
    """

def philox4x32(key: int, counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """One Philox 4x32-10 block (Salmon et al. 2011), for known-answer tests."""

# ---- The CPU engine: float32, `threads` at most, and the same bits for any number of them ----

class DropoutSite(Protocol):
    """A place where dropout falls."""

    @property
    def number(self) -> int:
        """Of the random stream; `site` of `dropout_mask`."""
    @property
    def rate(self) -> float:
        """Probability that an element is dropped; 0 for no dropout."""

class Activation(Protocol):
    """A function of one number."""

    @property
    def name(self) -> str:
        """'linear', 'relu', 'tanh', 'leaky', 'elu' or 'selu'."""
    @property
    def parameters(self) -> Sequence[float]:
        """Nothing; a of leaky and elu; lambda and alpha of selu."""

class FeedForwardSpec(Protocol):
    """A feed-forward layer."""

    @property
    def inputs(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def dropout(self) -> DropoutSite:
        """Of what the layer hands on."""
    @property
    def activation(self) -> Activation: ...
    @property
    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of its weight (units, inputs) and its bias (units,)."""

class LayerSpec(Protocol):
    """A recurrent layer."""

    @property
    def cell(self) -> str:
        """One of `cells()`."""
    @property
    def inputs(self) -> int:
        """Of a one-hot input the columns of its table, gates * units."""
    @property
    def units(self) -> int: ...
    @property
    def dropout(self) -> DropoutSite:
        """Of the new state."""
    @property
    def activation(self) -> Activation:
        """Of the candidate state, where the cell lets one choose it."""
    @property
    def weights(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of its weights, in the order that the cell takes them.

        That of the input is the first; a one-hot input has none.
        """

class NetworkSpec(Protocol):
    """The structure of a network; `gru4rec_fast.spec.NetworkSpec` is one."""

    @property
    def n_items(self) -> int: ...
    @property
    def input_table(self) -> str:
        """The name of the parameter that inputs are read from."""
    @property
    def input_dropout(self) -> DropoutSite: ...
    @property
    def layers(self) -> Sequence[LayerSpec]:
        """From the input up."""
    @property
    def shared(self) -> bool:
        """Whether the input table is the output's, Wy.weight."""
    @property
    def one_hot(self) -> bool:
        """Whether an input selects a row of gates of the first layer."""
    @property
    def feed_forward(self) -> Sequence[FeedForwardSpec]:
        """The layers between the last recurrent one and the scores."""

class StepBlock(Protocol):
    """T planned steps: arrays of `LaneBlock` and `MergedRows`, where each is described."""

    @property
    def first_step(self) -> int:
        """The number of the first step, counted through all epochs."""
    @property
    def first_lane(self) -> int:
        """How many lanes of each step others compute before these; of the dropout masks."""
    @property
    def restarts(self) -> UInt8: ...
    @property
    def source(self) -> Int32: ...
    @property
    def live(self) -> Int32: ...
    @property
    def rows(self) -> Int32: ...
    @property
    def target_count(self) -> Int32: ...
    @property
    def sample_count(self) -> Int32: ...
    @property
    def target_row(self) -> Int32: ...
    @property
    def input_row(self) -> Int32: ...
    @property
    def scored(self) -> Int32: ...
    @property
    def touched(self) -> Int32: ...

class Trainer:
    """Trains one network on the CPU; parameters and optimiser state are updated in place.

    The arrays are borrowed and kept alive; they are read and checked once, here. Each block is
    trained by the instruction set in use at the time.

    Args:
        spec: the network's structure.
        parameters: contiguous arrays by name: Wy.weight (V, H), By.weight (V, 1), the input table
            (V, inputs of the first layer) and the weights of every layer. Wy and the input table
            can both be bfloat16, as uint16 of the same bits: their rows are rounded in each step.
        optimiser: one of `optimisers()`.
        optimiser_options: the values that it needs: "learning_rate", "momentum" and "lmbd";
            rmsprop and adadelta also "rho", adam "beta1" and "beta2".
        state: one dict for each state table that the optimiser keeps with its options, in its
            order, with an array for each parameter: of its shape, or of a table by row (V, 1) for a
            matrix and (n,) for a vector. The last table, with momentum > 0, has the momenta. The
            rows of a matrix must be contiguous, but may lie apart, as those of a view; a vector
            must be contiguous.
        loss: one of `losses()`.
        loss_options: the values that it needs; cross-entropy: "logq", "sample_alpha" and
            "smoothing"; bpr-max: "bpreg". The options of other losses are ignored.
        activation: of the scores before the loss: one of `activations()`, and its parameters, as
            ("elu", (0.5,)).
        grad_cap: the largest norm over all gradients of a step, rows of tables summed over their
            occurrences; if a step reaches it, all are scaled by cap / norm. 0 for none.
        batch_size: the B that a step's loss is divided by, and the most lanes of a block.
        seed: of the dropout masks, 0..2^64-1.
        support: (V,) events per item; borrowed.
        precision: of the products: 'highest', 'high' or 'medium', see `instructions_of_products`.

    Raises:
        ValueError: for an unknown cell, loss, activation, optimiser, precision or option, a missing
            option or array, other parameters than the activation takes, and an array that does not
            fit.
    """

    def __init__(
        self,
        *,
        spec: NetworkSpec,
        parameters: Mapping[str, Float32 | UInt16],
        optimiser: str,
        optimiser_options: dict[str, float],
        state: list[dict[str, Float32]],
        loss: str,
        loss_options: dict[str, float],
        activation: tuple[str, Sequence[float]],
        grad_cap: float,
        batch_size: int,
        seed: int,
        support: Int64,
        precision: str = "highest",
    ) -> None: ...
    def start_epoch(self) -> None:
        """Set the states of all B lanes to zero."""
    def train_block(
        self, block: StepBlock, threads: int, learning_rates: Float64 | None = None
    ) -> Float32:
        """Train the steps of a block, and return their losses (T,).

        `learning_rates` (T,) has the rate of each step, which is rounded to float32; None keeps the
        rate as it is.

        Calls from several threads wait for each other. Raises ValueError for arrays that do not
        fit together, and for an index outside its table.
        """
    @property
    def states(self) -> list[Float32]:
        """Copies of each recurrent layer's carried state (M, width) after the last step.

        The columns are the H of the hidden state, then those of the cell's further states. There
        are all B lanes at first, and after `start_epoch`. Setting them restores a run: (rows,
        width) each, with the same rows <= B, else ValueError.
        """
    @states.setter
    def states(self, states: Sequence[Float32]) -> None: ...

class Forward:
    """The forward pass of one network on the CPU, without dropout; parameters are borrowed.

    spec and parameters are as for `Trainer`. The bits of a session depend neither on the sessions
    beside it nor on the number of threads. Calls from several threads run side by side.
    """

    def __init__(
        self, *, spec: NetworkSpec, parameters: Mapping[str, Float32 | UInt16]
    ) -> None: ...
    def advance(
        self, items: Int64, states: Sequence[Float32], offsets: Int64 | None, threads: int
    ) -> tuple[list[Float32], Float32]:
        """Feed R sessions their next events: new states (R, width), and features (R, F).

        items (E,): those of session r are items[offsets[r]:offsets[r + 1]]; offsets (R + 1,), or
        None for one event of each. states: (R, width) of each recurrent layer, which stay as they
        are. Features are those after the last event, 0 for a session without one. ValueError for an
        item outside the catalogue and for arrays that do not fit.
        """

def losses() -> list[str]:
    """The losses that the engine has."""

def activations() -> list[str]:
    """The activations that the engine has, by the names of `gru4rec_fast.activation`."""

def cells() -> list[str]:
    """The cells that the engine has."""

def optimisers() -> dict[str, int]:
    """The optimisers that the engine has -> the most state tables that each keeps."""

def update_rows(
    optimiser: str,
    options: dict[str, float],
    theta: Float32,
    state: list[Float32],
    rows: Int64 | None,
    g: Sequence[Float32],
    places: Int64 | None = None,
) -> None:
    """Update unique `rows` (n,) of theta (V, H) or (V,), all rows if None, in place.

    `state` has an array like theta for each state table, (V, 1) or (V,) for one by row. The
    gradient is the sum of the arrays of g, (n, H) or (n,), in their order; or of their rows
    `places` (n,).
    """

def round_rows(
    theta: UInt16,
    items: Int64,
    values: Float32,
    seed: int,
    step: int,
    table: int,
    at: Int64 | None = None,
) -> None:
    """Write rows `items` (n,) of theta (V, H), bfloat16, from values (n, H) as a step does.

    They are rows `at` (n,) of theta where it is a part of the table. The specification is
    `reference.rounded_rows`.
    """

def rank_counts(
    features: Float32, w: Float32 | UInt16, b: Float32, targets: Int64, threads: int
) -> tuple[Int64, Int64]:
    """Items that score above each row's target, and equal to it, itself included: two (R,).

    features (R, H), w (V, H), b (V, 1), targets (R,). A row's counts do not depend on the others.
    w in bfloat16, as uint16 of the same bits, counts as in float32; so do the two functions below.
    """

def top_k(
    features: Float32, w: Float32 | UInt16, b: Float32, k: int, threads: int
) -> tuple[Float32, Int64]:
    """Scores and items (R, min(k, V)) of each row's best items, of equal ones the lower first."""

def item_scores(
    features: Float32, w: Float32 | UInt16, b: Float32, items: Int64, threads: int
) -> Float32:
    """Scores (R, n) of the given items (n,), the same bits as in `rank_counts` and `top_k`."""

class BoundedItems:
    """Ranks and best items by bounds, with the results of `rank_counts` and `top_k` above.

    It keeps the rows w (V, H) and biases b (V, 1), and H + 8 bytes an item: the rows rounded to
    integers of 8 bits, a scale, and the norms of the rounded row and of the rest. Both arrays must
    stay as they are. `bound_factor` multiplies the bounds; less than 1 makes results wrong and
    serves tests.

    Raises:
        ValueError: more than 32,768 units.
    """

    def __init__(
        self, w: Float32, b: Float32, *, bound_factor: float = 1.0, threads: int
    ) -> None: ...
    def rank_counts(
        self, features: Float32, targets: Int64, threads: int
    ) -> tuple[Int64, Int64, tuple[int, int, int]]:
        """As `rank_counts`, and the pairs (row, item): undecided ones, scored ones, all.

        Undecided pairs are those that the bounds did not place; whole vectors of rows are scored.
        """
    def top_k(
        self, features: Float32, k: int, threads: int
    ) -> tuple[Float32, Int64, tuple[int, int, int]]:
        """As `top_k`, and the pairs as above."""
    @property
    def nbytes(self) -> int:
        """Memory of what is kept beside w and b."""

def bound_instruction_sets() -> list[str]:
    """Those of `BoundedItems` that go with the instruction set in use, the fastest first."""

def bound_instruction_set() -> str:
    """The one in use."""

def use_bound_instruction_set(name: str) -> None:
    """Use one of `bound_instruction_sets()` from now on; `use_instruction_set` takes the first."""

def instruction_sets() -> list[str]:
    """Those that this build has and this processor runs, the fastest first."""

def instruction_set() -> str:
    """The one in use."""

def use_instruction_set(name: str) -> None:
    """Use one of `instruction_sets()` from now on; ValueError for any other."""

def bf16_instruction_sets() -> list[str]:
    """Those that multiply bfloat16 numbers here, the fastest first; 'emulated_amx' for tests."""

def use_bf16_instruction_set(name: str) -> None:
    """Use one of them from now on for 'high' and 'medium'; '' goes back to what is faster."""

def instructions_of_products(precision: str) -> str:
    """One of `bf16_instruction_sets()`, or 'float32': what multiplies in a training step.

    `precision` is 'highest', 'high' or 'medium'; ValueError for any other.
    """

def bf16_product(
    precision: str, a: Float32, b: Float32, by_columns: bool = False, c: Float32 | None = None
) -> Float32:
    """A b (n, m), or c + a b, of a (n, K) and b (K, m); for tests.

    With `by_columns` a is given as its transpose (K, n). ValueError where the precision is float32.
    """

def vector_math(function: str, x: Float32) -> Float32:
    """A function of x (n,) as the engine has it; for tests.

    exp, logistic, tanh, log, reciprocal_root, log_one_plus or exp_minus_one.
    """

def advise_huge_pages(array: Float32 | UInt16) -> None:
    """Ask the system to back the array's memory by huge pages, now if it can; advice only."""

# ---- Baselines: one thread; numbers and ranks do not depend on the rows beside ----

class SessionKnn:
    """Item scores from the nearest training sessions; baselines/session_knn.py has the formulas.

    items (E,), offsets (n + 1,): events grouped by session. order (n,): all sessions from the
    oldest to the most recent. `similarity` is 'cosine' or 'decay'. k neighbours are taken among the
    m most recent sessions that share an item; equal ones by recency.

    A session is a row of `sessions` (R, L): its last events, the most recent first, then -1.
    """

    def __init__(
        self,
        items: Int32,
        offsets: Int64,
        order: Int64,
        n_items: int,
        *,
        similarity: str,
        match_weight: bool,
        idf: bool,
        k: int,
        m: int,
    ) -> None: ...
    def rank_counts(self, sessions: Int32, targets: Int64) -> tuple[Int64, Int64]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""
    def top_k(self, sessions: Int32, k: int) -> tuple[NDArray[np.float64], Int64]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""
    def item_scores(self, sessions: Int32, items: Int64) -> NDArray[np.float64]:
        """Scores (R, n) of the items (n,); 0 for an item that no neighbour contains."""

def similar_items(
    items: Int32, offsets: Int64, n_items: int, n_sims: int, lmbd: float, alpha: float
) -> tuple[Int64, Int32, NDArray[np.float64]]:
    """Each item's n_sims most similar other items, best first; equal ones by ascending index.

    Similarity: c_ij / ((supp_i + lmbd)^alpha (supp_j + lmbd)^(1 - alpha)) with c_ij the sessions
    with both items and supp_i those with item i. Returns offsets (V + 1,), items and similarities.
    """

def train_bpr_mf(
    items: Int32,
    offsets: Int64,
    session_factors: Float32,
    item_factors: Float32,
    *,
    n_epochs: int,
    learning_rate: float,
    regularization: float,
    seed: int,
) -> None:
    """LearnBPR (Rendle et al. 2009) on session_factors (n, F) and item_factors (V, F), in place.

    An epoch draws as many triples as there are distinct (session, item) pairs.
    """
