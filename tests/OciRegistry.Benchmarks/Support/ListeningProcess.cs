using System.Diagnostics;
using System.Net.Sockets;

namespace OciRegistry.Benchmarks.Support;

/// <summary>A server beside the measured one, on a loopback port, for as long as this program needs it.</summary>
internal sealed class ListeningProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Process _process;

    private ListeningProcess(Process process)
    {
        _process = process;
        AppDomain.CurrentDomain.ProcessExit += Kill;
        process.BeginOutputReadLine(); // nobody wants to know
    }

    public static async Task<ListeningProcess> StartAsync(int port, string program, params string[] arguments)
    {
        var listening = new ListeningProcess(
            Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!);
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                using var client = new TcpClient();
                await client.ConnectAsync("127.0.0.1", port);
                return listening;
            }
            catch (SocketException) when (!listening._process.HasExited && Stopwatch.GetElapsedTime(started) < Patience)
            {
                await Task.Delay(1);
            }
            catch
            {
                await listening.DisposeAsync();
                throw;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= Kill;
        Kill(null, EventArgs.Empty);
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private void Kill(object? sender, EventArgs e)
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }
    }
}
