using System.Diagnostics;
using System.Runtime.InteropServices;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

/// <summary>The program as its users run it: a process, in a folder of its own, with a clean environment.</summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly bool _isFolderOwn;
    private readonly Task<string> _errors;
    private readonly List<string> _lines = [];

    private ServerProcess(Process process, string folder, bool isFolderOwn) =>
        (_process, Folder, _isFolderOwn, _errors) = (process, folder, isFolderOwn, process.StandardError.ReadToEndAsync());

    public string Folder { get; }

    /// <summary>What it has printed so far, as far as it was read.</summary>
    public string Output => string.Join('\n', _lines);

    /// <param name="arguments">The command line.</param>
    /// <param name="environment">What stands in the environment beside what every process has.</param>
    /// <param name="appsettings">The content of the settings file.</param>
    /// <param name="folder">The current folder, which is kept; null for one of its own.</param>
    /// <param name="input">What can be read from standard input; null for that of the tests.</param>
    public static ServerProcess Start(
        string arguments,
        (string Name, string Value)[]? environment = null,
        string? appsettings = null,
        string? folder = null,
        string? input = null)
    {
        var current = folder ?? Directory.CreateTempSubdirectory("oci-registry-server-").FullName;
        if (appsettings is not null)
        {
            File.WriteAllText(Path.Combine(current, "appsettings.json"), appsettings);
        }

        var start = new ProcessStartInfo("dotnet", ["exec", typeof(StartupCheck).Assembly.Location])
        {
            WorkingDirectory = current,
            RedirectStandardInput = input is not null,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] prefixes =
            ["ASPNETCORE_", "DOTNET_ENVIRONMENT", "DOTNET_URLS", "OciRegistry_", "Logging_", "Kestrel_", "URLS", "HTTP_PORTS"];
        foreach (var name in start.Environment.Keys.Where(
            name => prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))).ToList())
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in environment ?? [])
        {
            start.Environment[name] = value;
        }

        foreach (var argument in arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            start.ArgumentList.Add(argument);
        }

        var process = Process.Start(start)!;
        if (input is not null)
        {
            process.StandardInput.Write(input);
            process.StandardInput.Close();
        }

        return new ServerProcess(process, current, isFolderOwn: folder is null);
    }

    /// <summary>The first line, of those not yet read, that starts with the text; all before it are read too.</summary>
    public Task<string> UntilLineAsync(string start) =>
        UntilLineAsync(start, line => line.StartsWith(start, StringComparison.Ordinal));

    /// <summary>The first line, of those not yet read, that has the text in it.</summary>
    public Task<string> UntilLineThatHasAsync(string text) =>
        UntilLineAsync(text, line => line.Contains(text, StringComparison.Ordinal));

    private async Task<string> UntilLineAsync(string text, Func<string, bool> isIt)
    {
        while (await _process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
        {
            _lines.Add(line);
            if (isIt(line))
            {
                return line;
            }
        }

        throw new InvalidOperationException($"No line '{text}...' in:\n{Output}\n{await _errors}");
    }

    /// <summary>Where it listens, once it does.</summary>
    public async Task<Uri> UntilListeningAsync()
    {
        var line = await UntilLineAsync("Listening on ");
        return new Uri(line["Listening on ".Length..]);
    }

    /// <summary>Its exit code and what it said on standard error, once it has ended.</summary>
    public async Task<(int Code, string Errors)> UntilExitAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
        {
            _lines.Add(line);
        }

        await _process.WaitForExitAsync().WaitAsync(Patience);
        return (_process.ExitCode, await _errors);
    }

    public void Terminate() => Kill(_process.Id, 15).ShouldBe(0);

    /// <summary>As Ctrl+C does.</summary>
    public void Interrupt() => Kill(_process.Id, 2).ShouldBe(0);

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        if (_isFolderOwn)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
