namespace OciRegistry.Server;

/// <summary>
/// The program cannot start, for reasons that whoever runs it can mend: each problem is a sentence with its remedy.
/// Anything else that is thrown is a bug, and shows its stack trace.
/// </summary>
internal sealed class StartupException(IReadOnlyList<string> problems) : Exception(Describe(problems))
{
    public StartupException(string problem)
        : this([problem])
    {
    }

    public IReadOnlyList<string> Problems => problems;

    private static string Describe(IReadOnlyList<string> problems)
    {
        var count = problems.Count == 1 ? "" : $" There are {problems.Count} problems.";
        var list = string.Join(Environment.NewLine, problems.Select(problem => $"  * {problem}"));
        return $"""
            The registry cannot start.{count}

            {list}

            --help lists the settings and how to set them.
            """;
    }
}
