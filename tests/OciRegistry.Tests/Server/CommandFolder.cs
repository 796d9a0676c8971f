using OciRegistry.Server;
using OciRegistry.Server.Commands;

namespace OciRegistry.Tests.Server;

/// <summary>A folder in which the program is called with commands.</summary>
internal sealed class CommandFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("oci-registry-commands-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Write(string name, string content) => File.WriteAllText(this[name], content);

    public string Read(string name) => File.ReadAllText(this[name]);

    /// <summary>What a command says that is not done: within this process, whose current folder is another one.</summary>
    public static async Task ShouldRefuseAsync(string arguments, int code, string problem)
    {
        var line = CommandLine.Parse(arguments.Split(' '), ServerCommands.All);
        line.Problems.ShouldBeEmpty();
        var command = line.Call.CommandResult.Command.ShouldBeOfType<ServerCommand>();

        var refusal = await Should.ThrowAsync<CommandException>(() => command.RunAsync(line));

        refusal.Message.ShouldContain(problem);
        refusal.Message.ShouldNotContain("hunter2"); // the password, wherever these tests have one
        refusal.ExitCode.ShouldBe(code);
    }

    /// <summary>Calls the program, and waits for its end; whatever goes wrong, it says it without a stack trace.</summary>
    public async Task<CommandOutcome> RunAsync(
        string arguments, string input = "", (string Name, string Value)[]? environment = null)
    {
        await using var process = ServerProcess.Start(arguments, environment, folder: Path, input: input);
        var (code, errors) = await process.UntilExitAsync();
        errors.ShouldNotContain("   at ");
        return new CommandOutcome(code, process.Output, errors.TrimEnd());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <param name="Code">The exit code.</param>
/// <param name="Output">Standard output, without the last line break.</param>
/// <param name="Errors">Standard error, likewise.</param>
internal sealed record CommandOutcome(int Code, string Output, string Errors)
{
    public void ShouldBeDone(string? output = null)
    {
        Errors.ShouldBeEmpty();
        Code.ShouldBe(0);
        if (output is not null)
        {
            Output.ShouldBe(output);
        }
    }

    public void ShouldBeRefused(int code, string problem)
    {
        Errors.ShouldContain(problem);
        Code.ShouldBe(code);
        Output.ShouldBeEmpty();
    }
}
