using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;

namespace OciRegistry.PullThrough;

/// <summary>
/// A program with the protocol of docker's credential helpers: <c>get</c>, the upstream's host on its input, and the account as JSON on
/// its output. One runs at a time, without a shell.
/// </summary>
/// <remarks>
/// An account is used until its time is over or the upstream refuses it. While the helper fails, the account before stays in use unless
/// it is the refused one, and nobody waits for the helper. A helper that fails, or has nothing but the refused account, is not run again
/// for 10 s.
/// </remarks>
internal sealed class CredentialProgram(UpstreamOptions options, TimeProvider time)
{
    /// <summary>docker's name for a refresh token in place of a password.</summary>
    private const string RefreshTokenUser = "<token>";

    private const int MaxOutput = 256 * 1024; // characters
    private static readonly TimeSpan ShortestPause = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private Task<UpstreamAccount>? _running;
    private UpstreamAccount? _account;
    private bool _hasFailed; // the last time that it ended
    private long _ended;

    /// <exception cref="UpstreamAccountException">It has failed, and there is no account from before.</exception>
    public async ValueTask<UpstreamAccount> GetAsync(UpstreamAccount? rejected, CancellationToken cancellationToken)
    {
        Task<UpstreamAccount> running;
        lock (_lock)
        {
            var age = time.GetElapsedTime(_ended); // since its end: one that hangs is not run again at once
            var isDue = _running is null || (_running.IsCompleted
                && age >= ShortestPause
                && (_running.IsFaulted || age >= options.CredentialTtl || _account == rejected));
            if (isDue)
            {
                _running = Task.Run(RunAsync, CancellationToken.None); // for all who wait, no matter which of them leaves
            }

            running = _running!;
            if (_hasFailed && !running.IsCompleted && _account is { } before && before != rejected)
            {
                return before; // it may hang once more
            }
        }

        try
        {
            return await running.WaitAsync(cancellationToken);
        }
        catch (UpstreamAccountException) when (Kept(rejected) is { } kept)
        {
            return kept;
        }
    }

    private UpstreamAccount? Kept(UpstreamAccount? rejected)
    {
        lock (_lock)
        {
            return _account == rejected ? null : _account;
        }
    }

    private async Task<UpstreamAccount> RunAsync()
    {
        var account = (UpstreamAccount?)null;
        try
        {
            var output = await OutputAsync();
            return account = Parse(output) ?? throw Failed("wrote no JSON with Username and Secret");
        }
        finally
        {
            lock (_lock)
            {
                _account = account ?? _account;
                _hasFailed = account is null;
                _ended = time.GetTimestamp();
            }
        }
    }

    private async Task<string> OutputAsync()
    {
        var start = new ProcessStartInfo(options.CredentialHelperFile() ?? throw Failed("does not exist"))
        {
            ArgumentList = { "get" },
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        using var tooSlow = new CancellationTokenSource(options.Timeout, time);
        using var process = new Process { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Win32Exception e)
        {
            throw Failed($"cannot be started ({e.Message})");
        }

        try
        {
            var errors = DrainAsync(process.StandardError, tooSlow.Token); // else it waits for who reads them
            var output = ReadAsync(process.StandardOutput, tooSlow.Token);
            await WriteHostAsync(process.StandardInput, tooSlow.Token);
            var text = await output;
            await errors;
            await process.WaitForExitAsync(tooSlow.Token);
            return process.ExitCode == 0 ? text : throw Failed($"ended with exit code {process.ExitCode}");
        }
        catch (OperationCanceledException)
        {
            throw Failed($"did not end within {options.Timeout.TotalSeconds} s");
        }
        catch (IOException e)
        {
            throw Failed($"broke off ({e.Message})");
        }
        finally
        {
            Kill(process);
        }
    }

    private async Task WriteHostAsync(StreamWriter input, CancellationToken cancellationToken)
    {
        try
        {
            await input.WriteAsync($"{new Uri(options.Url).Authority}\n".AsMemory(), cancellationToken);
            await input.FlushAsync(cancellationToken);
            input.Close();
        }
        catch (IOException)
        {
            // One that reads nothing has one account for all hosts.
        }
    }

    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        var text = new System.Text.StringBuilder();
        var buffer = new char[4 * 1024];
        for (int count; (count = await reader.ReadAsync(buffer, cancellationToken)) > 0;)
        {
            text.Append(buffer, 0, count);
            if (text.Length > MaxOutput)
            {
                throw new IOException("too much output");
            }
        }

        return text.ToString();
    }

    private static async Task DrainAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        var buffer = new char[4 * 1024];
        while (await reader.ReadAsync(buffer, cancellationToken) > 0)
        {
        }
    }

    private static void Kill(Process process)
    {
        try
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception)
        {
            // It has ended in between.
        }
    }

    private static UpstreamAccount? Parse(string output)
    {
        try
        {
            using var json = JsonDocument.Parse(output);
            return json.RootElement.ValueKind == JsonValueKind.Object
                && Text(json.RootElement, "Username") is { } user && !user.Contains(':', StringComparison.Ordinal)
                && Text(json.RootElement, "Secret") is { } secret
                ? user == RefreshTokenUser ? new UpstreamAccount(null, null, secret, null) : new UpstreamAccount(user, secret, null, null)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonElement answer, string name) =>
        answer.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text
            ? text
            : null;

    private UpstreamAccountException Failed(string what) =>
        new($"The credential helper '{options.CredentialHelper}' of the upstream '{options.Prefix}' {what}.");
}
