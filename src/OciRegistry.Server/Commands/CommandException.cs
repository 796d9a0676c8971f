namespace OciRegistry.Server.Commands;

/// <summary>
/// A command cannot do what it is for, for reasons that whoever has called it can mend: each problem is a sentence with its
/// remedy. Anything else that is thrown is a bug, and shows its stack trace.
/// </summary>
internal sealed class CommandException : Exception
{
    public const int NotDoneCode = 1;
    public const int CalledWronglyCode = 2;

    private CommandException(int exitCode, IEnumerable<string> problems)
        : base(string.Join(Environment.NewLine, problems)) => ExitCode = exitCode;

    public int ExitCode { get; }

    public static CommandException NotDone(params IEnumerable<string> problems) => new(NotDoneCode, problems);

    /// <summary>Its arguments are not what it takes.</summary>
    public static CommandException CalledWrongly(params IEnumerable<string> problems) => new(CalledWronglyCode, problems);
}
