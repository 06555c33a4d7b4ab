"""A linear layer in which only the last singular directions are trained: Effort (Yan et al. 2025), section 3.2."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualLinear(nn.Module):
    """y = x (main + U S V)^T + b, where U (out, k), S (k,) and V (k, in) are trained.

    Args:
        inner: width of the input.
        outer: width of the output.
        rank: of the frozen main part; k is the smaller width minus this.
        whole: whether to keep the main part's singular vectors, which only the regularisers need.
    """

    def __init__(self, inner: int, outer: int, rank: int, whole: bool):
        super().__init__()
        left = min(inner, outer) - rank
        self.weight_main = nn.Parameter(torch.zeros(outer, inner), requires_grad=False)
        self.S_residual = nn.Parameter(torch.zeros(left))
        self.U_residual = nn.Parameter(torch.zeros(outer, left))
        self.V_residual = nn.Parameter(torch.zeros(left, inner))
        self.bias = nn.Parameter(torch.zeros(outer), requires_grad=False)
        self.whole, self.energy = whole, 0.0
        if whole:
            self.S_r = nn.Parameter(torch.zeros(rank), requires_grad=False)
            self.U_r = nn.Parameter(torch.zeros(outer, rank), requires_grad=False)
            self.V_r = nn.Parameter(torch.zeros(rank, inner), requires_grad=False)

    @classmethod
    def from_linear(cls, weight: Tensor, bias: Tensor, rank: int, whole: bool = True) -> Self:
        """Split a layer's weight (out, in) by its singular values: the first `rank` are frozen; y stays the same."""
        made = cls(weight.shape[1], weight.shape[0], rank, whole)
        made.load_state_dict(split_weight(weight, rank, whole) | {"bias": bias})
        made.remember_energy()
        return made

    @property
    def residual(self) -> Tensor:
        """The trained part of the weight, (out, in)."""
        return self.U_residual @ torch.diag(self.S_residual) @ self.V_residual

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(x, self.weight_main + self.residual, self.bias)

    @torch.no_grad()
    def remember_energy(self) -> None:
        """Use the current weight as the reference for the energy loss."""
        self.energy = float((self.weight_main + self.residual).square().sum())

    def orthogonality(self) -> Tensor:
        """Return how far all singular vectors, frozen and trained together, are from orthonormal."""
        u, v = torch.cat([self.U_r, self.U_residual], 1), torch.cat([self.V_r, self.V_residual], 0)
        return sum(((m @ m.T - torch.eye(len(m), device=m.device)).norm() / 2 for m in (u, v)), u.new_zeros(()))

    def energy_change(self) -> Tensor:
        """Return by how much the weight's squared Frobenius norm has changed."""
        return ((self.weight_main + self.residual).square().sum() - self.energy).abs()


def split_weight(weight: Tensor, rank: int, whole: bool) -> dict[str, Tensor]:
    """Split a weight (out, in) after its first `rank` singular values; names as in `ResidualLinear`.

    Signs, and the basis of equal singular values, are the library's.
    """
    u, s, v = torch.linalg.svd(weight.float(), full_matrices=False)
    main = {"S_r": s[:rank], "U_r": u[:, :rank], "V_r": v[:rank]}
    trained = {"S_residual": s[rank:], "U_residual": u[:, rank:], "V_residual": v[rank:]}
    return {
        "weight_main": main["U_r"] @ torch.diag(main["S_r"]) @ main["V_r"],
        **{k: part.contiguous() for k, part in trained.items()},
        **({k: part.contiguous() for k, part in main.items()} if whole else {}),
    }


class SplitQkv(nn.Module):
    """Separate layers for queries, keys and values, replacing timm's single one."""

    def __init__(self, make: list[ResidualLinear]):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = make

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., 3 C)."""
        return torch.cat([self.q_proj(x), self.k_proj(x), self.v_proj(x)], -1)
