// Commands in messages are there to be copied into a shell.
#pragma once

#include <string>
#include <string_view>

namespace mlc {

/// TEXT as one word of a shell's command line: as it is where that is safe, else quoted. Harmless
/// on a terminal: where there is something to escape the word is a $'...' of bash and zsh.
std::string shell_word(std::string_view text);

}  // namespace mlc
