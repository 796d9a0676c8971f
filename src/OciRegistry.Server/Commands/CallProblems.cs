using System.CommandLine;
using System.CommandLine.Parsing;

namespace OciRegistry.Server.Commands;

/// <summary>
/// What is wrong with what a command was given. Text that stands where none is expected is not repeated: it may be a password.
/// </summary>
internal static class CallProblems
{
    public static IReadOnlyList<string> Of(ParseResult call)
    {
        var path = PathOf(call.CommandResult);
        var below = call.CommandResult.Command.Subcommands;
        var problems = below.Count > 0
            ? [$"'{path}' is followed by one of {string.Join(", ", below.Select(command => command.Name))}."]
            : Surplus(call, path).ToList();
        if (problems.Count == 0)
        {
            problems.AddRange(call.Errors.Select(error => error.Message)); // what is missing; it would repeat what is too much
        }

        if (problems.Count > 0)
        {
            problems.Add($"'OciRegistry.Server {path} --help' says what it takes.");
        }

        return problems;
    }

    private static IEnumerable<string> Surplus(ParseResult call, string path)
    {
        // An option of another command is taken for an argument, and one behind an option without a value for that.
        foreach (var result in call.CommandResult.Children)
        {
            foreach (var token in result.Tokens.Where(token => IsOption(token.Value)))
            {
                yield return result is OptionResult { Option.Name: var option }
                    ? $"{option} has no value. Write {option} VALUE."
                    : NoOption(token.Value);
            }
        }

        foreach (var option in call.UnmatchedTokens.Where(IsOption))
        {
            yield return NoOption(option);
        }

        if (call.UnmatchedTokens.Any(text => !IsOption(text)))
        {
            yield return $"'{path}' was given more than it takes.";
        }

        string NoOption(string text) => $"{text.Split('=', 2)[0]} is no option of '{path}'.";
    }

    private static bool IsOption(string text) => text.StartsWith('-') && text != CommandLine.StandardInput;

    private static string PathOf(CommandResult result) => result.Parent is CommandResult { Parent: not null } above
        ? $"{PathOf(above)} {result.Command.Name}"
        : result.Command.Name;
}
