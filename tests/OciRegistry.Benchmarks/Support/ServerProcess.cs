using System.Diagnostics;
using System.Globalization;
using OciRegistry.IntegrationTests.Support;

namespace OciRegistry.Benchmarks.Support;

/// <summary>A server that runs as a process of its own, on a free port, and what the kernel says of it.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly Queue<string> _lastLines = new();

    private ServerProcess(Process process, Uri address)
    {
        _process = process;
        Address = address;
        Client = new RegistryClient(address);
        AppDomain.CurrentDomain.ProcessExit += Kill;
        process.OutputDataReceived += Remember;
        process.ErrorDataReceived += Remember;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    public Uri Address { get; }

    public RegistryClient Client { get; }

    /// <summary>From the start of the process to its first answer to GET /v2/.</summary>
    public TimeSpan TimeToAnswer { get; private set; }

    /// <summary>From the start of the process to its first 200 to GET /readyz.</summary>
    public TimeSpan TimeToReady { get; private set; }

    /// <summary>The most memory that the process ever had resident.</summary>
    public double PeakMemoryMiB
    {
        get
        {
            const string name = "VmHWM:";
            var line = File.ReadLines($"/proc/{_process.Id}/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
            var kibibytes = line.AsSpan(name.Length).Trim().TrimEnd(" kB");
            return double.Parse(kibibytes, CultureInfo.InvariantCulture) / 1024;
        }
    }

    /// <summary>Processor time of all its threads so far.</summary>
    public CpuTime Cpu => CpuTime.Of(_process.Id);

    /// <summary>Where the server lies that is built together with this program.</summary>
    public static string BuiltExecutable() => Path.GetFullPath(
        Path.Combine(AppContext.BaseDirectory, "..", "..", "OciRegistry.Server", "release", "OciRegistry.Server"));

    public static async Task<ServerProcess> StartAsync(string executable, string storage, RedisServer? redis)
    {
        Directory.CreateDirectory(storage);
        var address = new Uri($"http://127.0.0.1:{FreePort.Next()}");
        var start = new ProcessStartInfo(executable)
        {
            ArgumentList = { $"--urls={address.GetLeftPart(UriPartial.Authority)}", $"--OciRegistry:Storage:FileSystem:Root={storage}" },
            Environment = { ["Logging__LogLevel__Microsoft"] = "Warning" }, // what the program's own default is, to be sure
            WorkingDirectory = storage,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (redis is not null)
        {
            start.ArgumentList.Add($"--OciRegistry:Redis:Configuration={redis.Address}");
        }

        var started = Stopwatch.GetTimestamp();
        var server = new ServerProcess(Process.Start(start)!, address);
        try
        {
            server.TimeToAnswer = await server.AnswersAsync("/v2/", started);
            server.TimeToReady = await server.AnswersAsync("/readyz", started);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= Kill;
        Client.Dispose();
        Kill(null, EventArgs.Empty);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private async Task<TimeSpan> AnswersAsync(string path, long started)
    {
        while (!_process.HasExited && Stopwatch.GetElapsedTime(started) < Patience)
        {
            try
            {
                await Client.GetAsync(path);
                return Stopwatch.GetElapsedTime(started);
            }
            catch (HttpRequestException)
            {
                await Task.Delay(1);
            }
        }

        lock (_lastLines)
        {
            throw new InvalidOperationException($"The server does not answer {path}:\n{string.Join('\n', _lastLines)}");
        }
    }

    private void Remember(object sender, DataReceivedEventArgs line)
    {
        lock (_lastLines)
        {
            _lastLines.Enqueue(line.Data ?? "");
            if (_lastLines.Count > 20)
            {
                _lastLines.Dequeue();
            }
        }
    }

    private void Kill(object? sender, EventArgs e)
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }
    }
}
