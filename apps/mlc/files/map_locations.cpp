#include "files/map_locations.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace mlc::cli {

Status check_locations(const std::vector<std::string>& rules) {
  static constexpr std::string_view kDevices[] = {"cpu",  "cuda", "mps",  "xpu", "hpu",
                                                  "meta", "npu",  "mtia", "xla"};
  for (const std::string& rule : rules) {
    const std::string device = rule.substr(rule.find('=') + 1);  // npos + 1 is 0
    const std::string name = device.substr(0, device.find(':'));
    if (std::find(std::begin(kDevices), std::end(kDevices), name) == std::end(kDevices)) {
      return usage_error("no such device: " + mlc::quoted(device), "cpu, cuda:0, mps, ...")
          .during("--map-location");
    }
  }
  return {};
}

std::string mapped_location(std::string_view location, const std::vector<std::string>& rules) {
  for (const std::string& rule : rules) {
    const size_t equals = rule.find('=');
    if (equals == std::string::npos) return rule;
    if (rule.substr(0, equals) == location) return rule.substr(equals + 1);
  }
  return std::string(location);
}

namespace {

std::vector<std::string> unused_locations(const Checkpoint& checkpoint,
                                          const std::vector<std::string>& rules) {
  std::vector<std::string> unused = rules;
  std::erase_if(unused, [&checkpoint](const std::string& rule) {
    const size_t equals = rule.find('=');
    if (equals == std::string::npos) return true;
    return std::ranges::any_of(checkpoint.storages, [&](const Storage& storage) {
      return storage.location == std::string_view(rule).substr(0, equals);
    });
  });
  return unused;
}

}  // namespace

void warn_of_unused_locations(const Checkpoint& checkpoint, const std::vector<std::string>& rules,
                              Reporter& reporter) {
  for (const std::string& rule : unused_locations(checkpoint, rules)) {
    std::set<std::string> devices;
    for (const Storage& storage : checkpoint.storages) {
      if (!storage.location.empty()) devices.insert(printable(storage.location));
    }
    const std::vector<std::string> names(devices.begin(), devices.end());
    reporter.warn("--map-location " + printable(rule) + " changes nothing: the tensors lie on " +
                  (names.empty() ? "no device" : join_list(names)));
  }
}

void map_locations(Checkpoint& checkpoint, const std::vector<std::string>& rules) {
  if (rules.empty()) return;
  for (Storage& storage : checkpoint.storages) {
    storage.location = checkpoint.keep(mapped_location(storage.location, rules));
  }
}

}  // namespace mlc::cli
