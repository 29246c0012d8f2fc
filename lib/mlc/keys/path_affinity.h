// How much two places of a checkpoint look as if they belonged together, by their names:
// "optimizer_d" and "discriminator", "gen.optim" and "gen.model", "optG" and "netG".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The words of a dotted PATH that tell one model from another, in lower case: those that only say
/// what lies there ("optimizer", "state", "model") are left out, also where they are grown together
/// with others ("netg" is "g"). A segment that is a number counts as one of a list, "#0".
std::vector<std::string> telling_words(std::string_view path);

/// 2 for each word of A that B has, 1 for each that begins a word of B or the other way round.
uint32_t word_affinity(const std::vector<std::string>& a, const std::vector<std::string>& b);

/// Whether PATH is called as copies of models are that no optimizer steps: "ema", "swa_model".
bool names_copy(std::string_view path);

}  // namespace mlc
