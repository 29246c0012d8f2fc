#include "mlc/base/parallel.h"
#include "mlc/onnx_prune/compensate.h"
#include "mlc/onnx_prune/scores.h"

#include <algorithm>
#include <map>

namespace mlc::onnx {
namespace {

/// Above, channels are looked at once, not after each that goes.
constexpr size_t kMostEliminated = 1024;

/// A weight that reads channels of a group.
struct Reading {
  const Moments* moments = nullptr;
  Labels roots;  // of its axis
  std::vector<double> importance;
};

/// The sum of squares of each slice along AXIS.
std::vector<double> squares(const std::vector<float>& values, const std::vector<int64_t>& sizes,
                            size_t axis) {
  size_t inner = 1;
  for (size_t i = axis + 1; i < sizes.size(); ++i) inner *= static_cast<size_t>(sizes[i]);
  std::vector<double> out(static_cast<size_t>(sizes[axis]), 0);
  for (size_t at = 0; at < values.size(); ++at) {
    const double one = values[at];
    out[at / inner % out.size()] += one * one;
  }
  return out;
}

/// One group, whose units go one after the other.
class Race {
 public:
  Race(const Candidates& group, const std::vector<Reading>& readings) : group_(group) {
    for (const Reading& each : readings) {
      Lane lane{Elimination(*each.moments, each.importance), {}};
      for (size_t i = 0; i < each.roots.size(); ++i) lane.places[each.roots[i]].push_back(i);
      const bool reads =
          std::ranges::any_of(group.units, [&](Atom unit) { return lane.places.contains(unit); });
      if (reads) lanes_.push_back(std::move(lane));
    }
  }

  void run(std::vector<double>& scores) {
    if (lanes_.empty()) return;
    Labels left = group_.units;
    if (left.size() > kMostEliminated) {
      for (const Atom unit : left) scores[unit] = cost(unit);
      return;
    }
    double spent = 0;
    for (uint64_t gone = 0; gone < group_.most && !left.empty(); ++gone) {
      size_t best = 0;
      double least = cost(left[0]);
      for (size_t i = 1; i < left.size(); ++i) {
        const double one = cost(left[i]);
        if (one < least) best = i, least = one;
      }
      // What went before it counts too, so that scores rise.
      spent += least;
      scores[left[best]] = spent;
      for (Lane& lane : lanes_) {
        for (const size_t i : lane.at(left[best])) lane.elimination.remove(i);
      }
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
    }
    for (const Atom unit : left) scores[unit] = spent + cost(unit);
  }

 private:
  struct Lane {
    Elimination elimination;
    std::map<Atom, std::vector<size_t>> places;

    const std::vector<size_t>& at(Atom unit) const {
      static const std::vector<size_t> kNone;
      const auto found = places.find(unit);
      return found == places.end() ? kNone : found->second;
    }
  };

  double cost(Atom unit) const {
    double out = 0;
    for (const Lane& lane : lanes_) {
      for (const size_t i : lane.at(unit)) out += lane.elimination.cost(i);
    }
    return out;
  }

  const Candidates& group_;
  std::vector<Lane> lanes_;
};

}  // namespace

Status score_by_losses(const Document& document, ChannelGraph& graph,
                       const std::vector<Candidates>& groups, const ValueMoments& seen,
                       std::vector<double>& scores) {
  std::map<Atom, size_t> owner;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const Atom unit : groups[i].units) owner.emplace(unit, i);
  }
  std::vector<std::vector<Reading>> readings(groups.size());
  for (const ChannelGraph::Reader& reader : measured_readers(document, graph)) {
    const auto moments = seen.find(reader.value);
    if (moments == seen.end() || moments->second.positions() == 0) continue;
    const DocTensor& weight = *document.find_tensor(reader.weight);
    MLC_TRY(const std::vector<float> values, floats_of(weight));
    Reading one{&moments->second, {}, squares(values, weight.sizes, reader.weight_axis)};
    std::vector<size_t> touched;
    for (const Atom each : graph.axes[{reader.weight, reader.weight_axis}].labels) {
      one.roots.push_back(graph.atoms.find(each));
      const auto found = owner.find(one.roots.back());
      if (found != owner.end()) touched.push_back(found->second);
    }
    std::ranges::sort(touched);
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    if (one.roots.size() != one.moments->channels()) continue;
    for (const size_t i : touched) readings[i].push_back(one);
  }
  return parallel_for(groups.size(), default_threads(), [&](size_t i) -> Status {
    if (!groups[i].units.empty()) Race(groups[i], readings[i]).run(scores);
    return {};
  });
}

}  // namespace mlc::onnx
