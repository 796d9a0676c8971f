using System.CommandLine;
using System.Globalization;
using OciRegistry.Auth;
using OciRegistry.Operations;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>Accounts of programs, in the storage: a registry that runs sees a change with the next request.</summary>
internal static class RobotCommands
{
    private const int PageSize = 1_000;

    private static readonly Argument<string> NameArgument = new("NAME") { Description = "The robot's name." };

    private static readonly Option<string[]> RepositoryOption = new("--repository")
    {
        HelpName = "PATTERN...",
        AllowMultipleArgumentsPerToken = true,
        Description = "Where it may do it: 'team/app', 'team/*' one level below, 'team/**' all below, '**' everywhere.",
    };

    private static readonly Option<string[]> ActionOption = new("--action")
    {
        HelpName = "ACTION...",
        AllowMultipleArgumentsPerToken = true,
        Description = $"What it may do: {string.Join(", ", PolicyOptions.KnownActions)}.",
    };

    private static readonly Option<string> ExpiresOption = new("--expires")
    {
        HelpName = "TIME",
        Description = $"When it ends: {TimeArgument.Forms}. Without, it does not.",
    };

    public static Command Create() => new("robot", "Accounts of programs, in the storage.")
    {
        new ServerCommand("create", "Makes a robot, and prints its secret this once.", CreateAsync)
        {
            NameArgument, RepositoryOption, ActionOption, ExpiresOption,
        },
        new ServerCommand("list", "Lists the robots and what each may do.", ListAsync),
        new ServerCommand("revoke", "Ends a robot: neither its secret nor its tokens are good from then on.", RevokeAsync)
        {
            NameArgument,
        },
    };

    private static async Task<int> CreateAsync(CommandLine line)
    {
        var now = TimeProvider.System.GetUtcNow();
        var wanted = new NewRobot(
            line.Call.GetRequiredValue(NameArgument),
            line.Call.GetValue(RepositoryOption) ?? [],
            line.Call.GetValue(ActionOption) ?? [],
            line.Call.GetValue(ExpiresOption) is { } expires ? TimeArgument.At("--expires", expires, now) : null);
        var problems = NewRobot.Problems(wanted, now).ToList();
        if (problems.Count > 0)
        {
            throw CommandException.CalledWrongly(problems);
        }

        var configuration = CommandSettings.Read(line);
        await using var services = await CommandServices.OpenAsync(configuration, usesStorage: true, usesAuthFiles: false);
        var (robot, secret) = await services.GetRequiredService<RobotAccounts>()
            .CreateAsync(wanted.Name, wanted.Policy, wanted.Expires, createdBy: null, CancellationToken.None)
            ?? throw CommandException.NotDone(
                $"There is a robot '{wanted.Name}' already. Revoke it first, or call this one otherwise.");

        Console.WriteLine($"""
            Login:  {RobotAccounts.LoginPrefix}{robot.Name}
            Secret: {secret}

            The secret is not kept, and will not be shown again. It is the password to

              docker login --username {RobotAccounts.LoginPrefix}{robot.Name} REGISTRY
            """);
        if (!ServerConfiguration.Auth(configuration).Robots)
        {
            Console.Error.WriteLine(
                $"Note: robots cannot log in yet. Set {Setting.Section}:Auth:Robots=true for the server, and start it again.");
        }

        return 0;
    }

    private static async Task<int> ListAsync(CommandLine line)
    {
        await using var services = await CommandServices.OpenAsync(
            CommandSettings.Read(line), usesStorage: true, usesAuthFiles: false);
        var robots = services.GetRequiredService<RobotAccounts>();
        var page = await robots.ListAsync(after: null, PageSize, _ => true, CancellationToken.None);
        while (page.Count > 0)
        {
            foreach (var robot in page)
            {
                Console.WriteLine(Describe(robot));
            }

            page = await robots.ListAsync(page[^1].Name, PageSize, _ => true, CancellationToken.None);
        }

        return 0;
    }

    private static async Task<int> RevokeAsync(CommandLine line)
    {
        var name = line.Call.GetRequiredValue(NameArgument);
        await using var services = await CommandServices.OpenAsync(
            CommandSettings.Read(line), usesStorage: true, usesAuthFiles: false);
        if (!await services.GetRequiredService<RobotAccounts>().RevokeAsync(name, CancellationToken.None))
        {
            throw CommandException.NotDone($"There is no robot '{name}'. 'robot list' shows which there are.");
        }

        Console.WriteLine($"Revoked robot '{name}'.");
        return 0;
    }

    private static string Describe(Robot robot)
    {
        var end = robot.Expires is not { } expires ? "does not expire"
            : robot.HasExpired(TimeProvider.System.GetUtcNow()) ? $"expired {Text(expires)}"
            : $"expires {Text(expires)}";
        return $"{robot.Name}: {string.Join(", ", robot.Actions)} in {string.Join(", ", robot.Repositories)}; "
            + $"made {Text(robot.Created)}{(robot.CreatedBy is { } maker ? $" by {maker}" : "")}, {end}";

        static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);
    }
}
