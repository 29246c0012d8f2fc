// Signals and the two standard descriptors, set up once at start.
//
// Ctrl-C, SIGTERM and SIGHUP: the first one is left to the loop that polls Reporter::interrupted(),
// if one did within the last half second; otherwise, at the second one, and where nobody has asked
// within half a second after the first, because that loop was over, the handler itself removes
// pending outputs and ends the process with 130. SIGBUS (a mapped input shrank under us) ends it
// with 3 and a message. Faults of native code, of LibTorch's kernels above all, end it with a
// message, too: 4 for a division that no CPU does, else 70. SIGPIPE and SIGXFSZ are ignored, so
// that they arrive as EPIPE and EFBIG.
#pragma once

#include <string_view>

namespace mlc::cli {

/// Installs the handlers, and opens /dev/null on closed standard descriptors so that no input or
/// output file ever gets number 0, 1 or 2.
void install_signal_handlers();

/// What a division that no CPU does is to people.
inline constexpr std::string_view kDividesIntegers =
    "the model divides integers in a way that ends the process: by 0, or the least one by -1";

/// For a child process whose parent tells of the signal that ended it.
void leave_faults_alone();

/// JSON: whether the message of a handler is an error object.
void set_signal_messages(bool json);
/// Whether a progress line has to be cleared before the message of a handler.
void set_progress_visible(bool visible);

/// True after the first Ctrl-C. Asking says that somebody is there to act on it.
bool interrupt_requested();

}  // namespace mlc::cli
