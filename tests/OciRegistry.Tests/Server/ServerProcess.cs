using System.Diagnostics;
using System.Runtime.InteropServices;
using OciRegistry.Server;

namespace OciRegistry.Tests.Server;

/// <summary>The program as its users run it: a process, in a folder of its own, with a clean environment.</summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly DirectoryInfo _folder;
    private readonly Task<string> _errors;
    private readonly List<string> _lines = [];

    private ServerProcess(Process process, DirectoryInfo folder) =>
        (_process, _folder, _errors) = (process, folder, process.StandardError.ReadToEndAsync());

    public string Folder => _folder.FullName;

    /// <summary>What it has printed so far, as far as it was read.</summary>
    public string Output => string.Join('\n', _lines);

    public static ServerProcess Start(
        string arguments, (string Name, string Value)[]? environment = null, string? appsettings = null)
    {
        var folder = Directory.CreateTempSubdirectory("oci-registry-server-");
        if (appsettings is not null)
        {
            File.WriteAllText(Path.Combine(folder.FullName, "appsettings.json"), appsettings);
        }

        var start = new ProcessStartInfo("dotnet", ["exec", typeof(StartupCheck).Assembly.Location])
        {
            WorkingDirectory = folder.FullName,
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

        return new ServerProcess(Process.Start(start)!, folder);
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

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
