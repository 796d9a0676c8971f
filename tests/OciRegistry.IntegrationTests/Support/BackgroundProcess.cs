using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>A server that runs beside a test and is stopped with it.</summary>
internal sealed partial class BackgroundProcess : IAsyncDisposable
{
    private const int Terminate = 15;
    private const int Continue = 18;
    private const int Stop = 19;
    private static readonly TimeSpan ReadyLimit = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(20);

    private readonly StringBuilder _log = new();
    private readonly Process _process;

    // Reading what a process writes holds two threads of the pool for as long as it runs: a pool that begins with one
    // for each core, and adds one each half second, would hold up the tests.
    static BackgroundProcess()
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, 64), completions);
    }

    public BackgroundProcess(ProcessStartInfo start)
    {
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += Keep;
        _process.ErrorDataReceived += Keep;
        _process.Start();
        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>What it has written so far, to either stream.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return _log.ToString();
            }
        }
    }

    /// <summary>Waits until it serves; a process that ends instead fails at once, with its log.</summary>
    public async Task WaitUntilReadyAsync(Func<Task<bool>> isReady)
    {
        var waited = Stopwatch.StartNew();
        while (!await isReady())
        {
            if (_process.HasExited || waited.Elapsed > ReadyLimit)
            {
                var what = _process.HasExited ? $"ended with {_process.ExitCode}" : $"was not ready in {ReadyLimit}";
                throw new InvalidOperationException($"{_process.StartInfo.FileName} {what}:\n{Log}");
            }

            await Task.Delay(Poll);
        }
    }

    /// <summary>Waits until it takes connections.</summary>
    public Task WaitUntilListeningAsync(int port) => WaitUntilReadyAsync(async () =>
    {
        using var socket = new TcpClient();
        try
        {
            await socket.ConnectAsync("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    });

    /// <summary>Ends it at once, as a lost machine would.</summary>
    public async Task KillAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
    }

    /// <summary>Holds it, as a machine that swaps or a debugger would: its sockets stay open, nobody answers.</summary>
    public void Pause() => Signal(_process.Id, Stop).ShouldBe(0);

    public void Resume() => Signal(_process.Id, Continue).ShouldBe(0);

    /// <summary>Asks it to end (SIGTERM), and waits until it has.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndAsync()
    {
        Signal(_process.Id, Terminate).ShouldBe(0);
        await _process.WaitForExitAsync().WaitAsync(ReadyLimit);
        return _process.ExitCode;
    }

    /// <summary>Asks it to end, so that it stops its own children and unmounts; kills it when it does not.</summary>
    public async ValueTask DisposeAsync()
    {
        using (_process)
        {
            if (!_process.HasExited && Signal(_process.Id, Terminate) == 0)
            {
                using var limit = new CancellationTokenSource(StopLimit);
                try
                {
                    await _process.WaitForExitAsync(limit.Token);
                }
                catch (OperationCanceledException)
                {
                    await KillAsync();
                }
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int process, int signal);

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (_log)
        {
            _log.AppendLine(line.Data);
        }
    }
}
