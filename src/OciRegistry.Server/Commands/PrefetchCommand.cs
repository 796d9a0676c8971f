using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using OciRegistry.PullThrough;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>
/// Fetches images of the upstreams before anybody asks for them, into the storage that the server uses. The server may be
/// running beside it.
/// </summary>
internal static class PrefetchCommand
{
    private static readonly Argument<string[]> ReferenceArgument = new("REFERENCE")
    {
        Arity = ArgumentArity.ZeroOrMore,
        Description = "What to fetch, as hub/library/alpine:3: the Prefix of an upstream or its host, a repository, a tag or digest.",
    };

    private static readonly Option<string> FileOption = new("--file")
    {
        HelpName = "FILE",
        Description = "A file with a reference in each line, and comments behind '#'; '-' is standard input.",
    };

    public static Command Create() =>
        new ServerCommand("prefetch", "Fetches images of upstreams ahead of their pulls; exits with 1 if any fails.", RunAsync)
        {
            ReferenceArgument, FileOption,
        };

    private static async Task<int> RunAsync(CommandLine line)
    {
        string[] references =
        [
            .. line.Call.GetValue(ReferenceArgument) ?? [],
            .. line.Call.GetValue(FileOption) is { } file ? Read(file) : [],
        ];
        if (references.Length == 0)
        {
            throw CommandException.CalledWrongly("No reference is named. Write some, as hub/library/alpine:3, or --file FILE.");
        }

        var configuration = CommandSettings.Read(line);
        if (ServerConfiguration.PullThrough(configuration).Upstreams.Count == 0)
        {
            throw CommandException.NotDone(
                $"There is no upstream to fetch from. Give this command the server's settings of {Setting.Section}:PullThrough, such as "
                + $"--{Setting.Section}:PullThrough:Upstreams:0:Prefix=hub and "
                + $"--{Setting.Section}:PullThrough:Upstreams:0:Url=https://registry-1.docker.io.");
        }

        await using var services = await CommandServices.OpenAsync(configuration, usesStorage: true, usesAuthFiles: false);
        using var stop = new CancellationTokenSource();
        using var interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using var terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            return await FetchAsync(services.GetRequiredService<Prefetch>(), references, stop.Token);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            throw CommandException.NotDone("It was ended before all was here. What is here stays; call it again for the rest.");
        }
        finally
        {
            await services.GetRequiredService<PulledBlobs>().StopAsync(CancellationToken.None); // what is on its way is given up
        }

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = !stop.IsCancellationRequested; // the second one ends the process
            stop.Cancel();
        }
    }

    private static async Task<int> FetchAsync(Prefetch prefetch, string[] references, CancellationToken cancellationToken)
    {
        var totals = new PrefetchTotals();
        await foreach (var news in prefetch.RunAsync(references, cancellationToken))
        {
            totals.Add(news);
            if (news.Step is { } step)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{news.Reference}: {step.Digest}, {step.Size} bytes"));
            }
            else if (news.Problem is { } problem)
            {
                Console.Error.WriteLine($"{news.Reference}: {problem}");
            }
            else
            {
                Console.WriteLine($"{news.Reference}: all of it is here");
            }
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"Fetched: {totals.Fetched}, failed: {totals.Failed}, bytes: {totals.Bytes}"));
        return totals.Failed == 0 ? 0 : CommandException.NotDoneCode;
    }

    private static List<string> Read(string file)
    {
        try
        {
            using var text = file == CommandLine.StandardInput ? Console.In : new StreamReader(file);
            return [.. text.ReadToEnd().Split('\n').Select(line => line.Split('#')[0].Trim()).Where(line => line.Length > 0)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CommandException.NotDone($"The references in '{file}' cannot be read: {e.Message} Correct --file.");
        }
    }
}
