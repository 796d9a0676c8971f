using System.CommandLine;
using System.CommandLine.Help;
using OciRegistry.Storage;

namespace OciRegistry.Server.Commands;

/// <summary>What the program can be told to do.</summary>
internal static class ServerCommands
{
    /// <summary>The commands, in the order of the help.</summary>
    public static Command All { get; } = new("OciRegistry.Server")
    {
        ServeCommand.Create(),
        UserCommands.Create(),
        RobotCommands.Create(),
        TokenCommand.Create(),
        ExplainCommand.Create(),
        PrefetchCommand.Create(),
        new HelpOption(),
    };

    /// <summary>The names of all options of a command and of those below it.</summary>
    public static HashSet<string> OptionsOf(Command command) =>
    [
        .. command.Options.SelectMany(option => option.Aliases.Append(option.Name)),
        .. command.Subcommands.SelectMany(OptionsOf),
    ];

    /// <summary>Does what the command line asks for. What keeps it from that is said on standard error.</summary>
    /// <returns>The exit code: 0 when it is done, 1 when it is not, 2 when the command was not called as it has to be.</returns>
    public static async Task<int> RunAsync(CommandLine line)
    {
        try
        {
            if (line.IsToServe)
            {
                return await (line.IsToCheck ? ServeCheck.RunAsync(line) : ServeCommand.RunAsync(line));
            }

            return line.Problems.Count == 0
                ? await ((ServerCommand)line.Call.CommandResult.Command).RunAsync(line)
                : throw CommandException.CalledWrongly(line.Problems);
        }
        catch (StartupException problem)
        {
            Console.Error.WriteLine(problem.Message);
            return CommandException.NotDoneCode;
        }
        catch (CommandException problem)
        {
            Console.Error.WriteLine(problem.Message);
            return problem.ExitCode;
        }
    }
}

/// <summary>A command that does something.</summary>
internal sealed class ServerCommand(string name, string description, Func<CommandLine, Task<int>> run)
    : Command(name, description)
{
    public async Task<int> RunAsync(CommandLine line)
    {
        try
        {
            return await run(line);
        }
        catch (UnusableFileException problem)
        {
            throw CommandException.NotDone(problem.Problems);
        }
        catch (StorageException problem)
        {
            throw CommandException.NotDone(problem.Message);
        }
    }
}
