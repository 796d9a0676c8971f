using System.CommandLine;
using OciRegistry.Auth;

namespace OciRegistry.Server.Commands;

/// <summary>Says whether somebody may do something, and why.</summary>
internal static class ExplainCommand
{
    private static readonly Argument<string> SubjectArgument = new("SUBJECT")
    {
        Description = "Who: user:NAME or NAME, robot:NAME, cert:cn:NAME, cert:URI, ISSUER:NAME, or anonymous.",
    };

    private static readonly Argument<string> RepositoryArgument = new("REPOSITORY") { Description = "Where, as team/app." };

    private static readonly Argument<string> ActionArgument = new("ACTION")
    {
        Description = $"What: {string.Join(", ", PolicyOptions.KnownActions)}.",
    };

    private static readonly Option<string[]> GroupOption = new("--group")
    {
        HelpName = "GROUP...",
        AllowMultipleArgumentsPerToken = true,
        Description = "Groups that the subject's token would name.",
    };

    public static Command Create() =>
        new ServerCommand("explain", "Says whether somebody may do something, and why; exits with 1 for no.", RunAsync)
        {
            SubjectArgument, RepositoryArgument, ActionArgument, GroupOption,
        };

    private static async Task<int> RunAsync(CommandLine line)
    {
        var subject = line.Call.GetRequiredValue(SubjectArgument);
        var isRobot = subject.StartsWith(Caller.RobotPrefix, StringComparison.Ordinal); // what it may do stands in the storage
        await using var services = await CommandServices.OpenAsync(
            CommandSettings.Read(line), usesStorage: isRobot, usesAuthFiles: true);
        var (explanation, problem) = await services.GetRequiredService<PolicyExplanation>().OfAsync(
            subject,
            line.Call.GetValue(GroupOption) ?? [],
            line.Call.GetRequiredValue(RepositoryArgument),
            line.Call.GetRequiredValue(ActionArgument),
            isOfRepository: false,
            CancellationToken.None);
        if (explanation is null)
        {
            throw CommandException.CalledWrongly(problem!);
        }

        Console.WriteLine(explanation.Reason);
        return explanation.IsAllowed ? 0 : CommandException.NotDoneCode;
    }
}
