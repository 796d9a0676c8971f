using System.CommandLine;
using OciRegistry.Auth;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>Makes an access token, to try with it what somebody may do. Whoever can read the signing keys can do that.</summary>
internal static class TokenCommand
{
    private static readonly Argument<string> SubjectArgument = new("SUBJECT")
    {
        Description = "Whose it is: user:NAME or NAME, robot:NAME, cert:cn:NAME, cert:URI, ISSUER:NAME, or anonymous.",
    };

    private static readonly Option<string[]> ScopeOption = new("--scope")
    {
        HelpName = "SCOPE...",
        AllowMultipleArgumentsPerToken = true,
        Description = "What it is limited to, as repository:team/app:pull,push. Without, it is good for no repository.",
    };

    private static readonly Option<string[]> GroupOption = new("--group")
    {
        HelpName = "GROUP...",
        AllowMultipleArgumentsPerToken = true,
        Description = "Groups that it names.",
    };

    private static readonly Option<string> LifetimeOption = new("--lifetime")
    {
        HelpName = "TIME",
        Description = $"How long it is good for, at most {TokenOptions.MaxLifetime}; without, as long as those of the server.",
    };

    public static Command Create() =>
        new ServerCommand("token", "Prints an access token, to try with it what somebody may do.", RunAsync)
        {
            SubjectArgument, ScopeOption, GroupOption, LifetimeOption,
        };

    private static async Task<int> RunAsync(CommandLine line)
    {
        var subject = Caller.SubjectOf(line.Call.GetRequiredValue(SubjectArgument));
        var groups = line.Call.GetValue(GroupOption) ?? [];
        var scopes = (line.Call.GetValue(ScopeOption) ?? []).Select(ParseScope).ToList();
        var lifetime = line.Call.GetValue(LifetimeOption) is { } text ? ParseLifetime(text) : (TimeSpan?)null;

        var configuration = CommandSettings.Read(line);
        var auth = ServerConfiguration.Auth(configuration);
        if (!auth.IssuesTokens)
        {
            throw CommandException.NotDone(auth.IsRequired
                ? $"The registry takes no tokens of its own, because {Setting.Section}:Auth:Tokens:Enabled is false. Leave that out."
                : $"The registry is open, so tokens say nothing. Give this command the server's settings of {Setting.Section}:Auth.");
        }

        var usesStorage = auth.Tokens.SigningKeys is null || IsRobot(subject);
        await using var services = await CommandServices.OpenAsync(configuration, usesStorage, usesAuthFiles: true);
        var caller = await CallerAsync(services, subject, groups);
        Console.WriteLine(await services.GetRequiredService<RegistryTokens>()
            .IssueAsync(caller, scopes, lifetime ?? auth.Tokens.Lifetime, CancellationToken.None));
        return 0;
    }

    /// <summary>Whom the registry will take the token for.</summary>
    private static async Task<Caller> CallerAsync(IServiceProvider services, string subject, string[] groups)
    {
        string? credential = null;
        if (subject.StartsWith(Caller.UserPrefix, StringComparison.Ordinal))
        {
            var name = subject[Caller.UserPrefix.Length..];
            credential = services.GetRequiredService<AuthFiles>().Users?.Find(name)?.Credential
                ?? throw CommandException.NotDone($"There is no user '{name}'. 'user list' shows who is.");
        }
        else if (IsRobot(subject))
        {
            var name = subject[Caller.RobotPrefix.Length..];
            var robot = await services.GetRequiredService<RobotAccounts>().FindAsync(name, CancellationToken.None);
            credential = robot?.Credential
                ?? throw CommandException.NotDone($"There is no robot '{name}'. 'robot list' shows which there are.");
        }

        var caller = new Caller(subject) { Groups = groups, Credential = credential };
        return await services.GetRequiredService<Logins>().RecheckAsync(caller, CancellationToken.None) is not null
            ? caller
            : throw CommandException.NotDone($"The registry would take no token of '{subject}': {Missing(subject)}.");
    }

    private static string Missing(string subject) =>
        IsRobot(subject) ? $"set {Setting.Section}:Auth:Robots=true, and see in 'robot list' whether it has expired"
        : subject.StartsWith(Caller.CertificatePrefix, StringComparison.Ordinal)
            ? $"set {Setting.Section}:Auth:ClientCertificates:Authority"
            : $"what stands before the ':' has to be the Name of one of {Setting.Section}:Auth:Issuers";

    private static bool IsRobot(string subject) => subject.StartsWith(Caller.RobotPrefix, StringComparison.Ordinal);

    private static Scope ParseScope(string text) => Scope.TryParse(text, out var scope)
        ? scope
        : throw CommandException.CalledWrongly($"--scope is '{text}'. Write it as repository:team/app:pull,push.");

    private static TimeSpan ParseLifetime(string text) =>
        TimeArgument.Span("--lifetime", text) is var lifetime
        && lifetime >= TimeSpan.FromSeconds(1)
        && lifetime <= TokenOptions.MaxLifetime
            ? lifetime
            : throw CommandException.CalledWrongly($"--lifetime is {text}. Set it to a time from 00:00:01 to {TokenOptions.MaxLifetime}.");
}
