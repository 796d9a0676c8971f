using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A program of the machine with arguments and variables that every call of it gets.</summary>
internal sealed class Tool
{
    // Clients that only a later Debian has: tests/run.sh unpacks them there.
    private static readonly string Unpacked = Path.Combine(Checkout.Root, "tests", ".tools", "forky", "usr", "bin");

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10); // two architectures are compiled beside other tests

    // What a person has set for the own clients must not reach those of a test.
    private static readonly string[] PersonalVariables =
        ["DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT", "REGISTRY_AUTH_FILE", "CONTAINER_HOST"];

    private readonly string _path;
    private readonly string[] _arguments;
    private readonly Dictionary<string, string> _variables;

    private Tool(string path, string[] arguments, Dictionary<string, string> variables) =>
        (_path, _arguments, _variables) = (path, arguments, variables);

    /// <summary>Finds the program; skips the running test when the machine does not have it.</summary>
    public static Tool Require(string name)
    {
        var path = Find(name);
        Assert.SkipWhen(path is null, $"{name} is not installed; tests/run.sh installs it.");
        return new Tool(path!, [], []);
    }

    /// <summary>Skips the running test for who may not mount: images are unpacked with overlay mounts.</summary>
    public static void RequireRoot(string name) =>
        Assert.SkipUnless(Environment.IsPrivilegedProcess, $"{name} needs root here; run the tests as root.");

    public Tool With(params string[] arguments) => new(_path, [.. _arguments, .. arguments], _variables);

    public Tool WithVariable(string name, string value) =>
        new(_path, _arguments, new(_variables) { [name] = value });

    /// <summary>Runs the program to its end and returns its standard output; any exit code but 0 fails the test.</summary>
    public async Task<string> RunAsync(params string[] arguments)
    {
        var result = await TryRunAsync(arguments);
        result.ExitCode.ShouldBe(0, result.ToString());
        return result.Output;
    }

    /// <summary>Runs the program to its end, however it ends.</summary>
    public async Task<ToolResult> TryRunAsync(params string[] arguments)
    {
        var start = StartInfo(arguments);
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(Limit);
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(limit.Token);
        var error = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new(Line(start), process.ExitCode, (await output).TrimEnd(), (await error).TrimEnd());
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{Line(start)} did not end within {Limit.TotalSeconds:0} s.");
        }
    }

    /// <summary>Starts the program in the background.</summary>
    public BackgroundProcess Start(params string[] arguments) => new(StartInfo(arguments));

    private static string? Find(string name) =>
        Path.IsPathRooted(name)
            ? name
            : $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin:{Unpacked}"
                .Split(':', StringSplitOptions.RemoveEmptyEntries)
                .Select(folder => Path.Combine(folder, name))
                .FirstOrDefault(File.Exists);

    private static string Line(ProcessStartInfo start) => $"{start.FileName} {string.Join(' ', start.ArgumentList)}";

    private ProcessStartInfo StartInfo(string[] arguments)
    {
        var start = new ProcessStartInfo(_path, [.. _arguments, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        foreach (var name in PersonalVariables)
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in _variables)
        {
            start.Environment[name] = value;
        }

        return start;
    }
}

internal sealed record ToolResult(string Line, int ExitCode, string Output, string Error)
{
    /// <summary>It has failed, and said that a registry wants to know who it is.</summary>
    public void ShouldBeUnauthorized()
    {
        ExitCode.ShouldNotBe(0, ToString());
        Error.ShouldMatch("(?i)unauthorized|authentication required|no basic auth credentials|log in first", ToString());
    }

    public override string ToString() => new StringBuilder()
        .AppendLine(CultureInfo.InvariantCulture, $"$ {Line}")
        .AppendLine(CultureInfo.InvariantCulture, $"exit code {ExitCode}")
        .AppendLine(Output)
        .Append(Error)
        .ToString();
}
