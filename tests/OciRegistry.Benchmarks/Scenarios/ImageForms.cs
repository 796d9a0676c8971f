using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>What the program in the image may be compiled to: size, start and idle memory of each, in turns.</summary>
internal sealed class ImageForms : IScenario
{
    private const int Starts = 7;
    private const double ReadyAimMs = 500;
    private const double IdleAimMiB = 80;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(4);

    // Only the first two have the framework from the base of their image; the third brings what is left of it.
    private static readonly (string Name, string[] Options)[] Forms =
    [
        ("JIT", ["-p:PublishReadyToRun=false", "--no-self-contained"]),
        ("ReadyToRun", ["-p:PublishReadyToRun=true", "--no-self-contained"]),
        (
            "ReadyToRun, trimmed, with the framework",
            [
                "-p:PublishReadyToRun=true", "--self-contained", "-p:PublishTrimmed=true", "-p:TrimMode=partial",
                "-p:TreatWarningsAsErrors=false", "-p:SuppressTrimAnalysisWarnings=true",
            ]),
    ];

    public string Name => "image-forms";

    public string Description => "size, time to ready and idle memory: JIT, ReadyToRun and trimmed";

    public double DiskGiB => 2;

    public async Task RunAsync(Bench bench)
    {
        foreach (var (name, options) in Forms)
        {
            await PublishAsync(bench, name, options);
            bench.Add($"{name}: compressed layer", await LayerBytesAsync(FolderOf(bench, name)) / 1e6, "MB");
        }

        var samples = Forms.ToDictionary(form => form.Name, _ => new List<(double ReadyMs, double CpuMs, double IdleMiB)>());
        for (var i = 0; i < Starts; i++)
        {
            foreach (var (name, _) in Forms)
            {
                await using var server = await ServerProcess.StartAsync(
                    Path.Combine(FolderOf(bench, name), "OciRegistry.Server"), bench.StorageFolder($"{name} {i}"), authorization: null, []);
                var cpu = server.Cpu.Total * 1_000;
                await Task.Delay(Idle);
                samples[name].Add((server.TimeToReady.TotalMilliseconds, cpu, ResidentMemory.NowMiB(server.Id)));
            }
        }

        foreach (var (name, measured) in samples)
        {
            bench.Add($"{name}: ready", Samples.Median(measured.Select(one => one.ReadyMs)), "ms", ReadyAimMs);
            bench.Add($"{name}: CPU until then", Samples.Median(measured.Select(one => one.CpuMs)), "ms");
            bench.Add($"{name}: memory after {Idle.TotalSeconds:0} s of rest", Samples.Median(measured.Select(one => one.IdleMiB)), "MiB", IdleAimMiB);
        }
    }

    // MSBuild takes a comma for the end of a value.
    private static string FolderOf(Bench bench, string form) => Path.Combine(bench.Folder, "published", form.Split(',')[^1].Trim());

    private static async Task PublishAsync(Bench bench, string form, string[] options)
    {
        var project = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", "..", "src", "OciRegistry.Server"));
        using var publish = Process.Start(new ProcessStartInfo(
            "dotnet",
            [
                "publish", project, "--configuration", "Release", "--runtime", "linux-x64", "-nodeReuse:false", "--verbosity", "quiet",
                $"-p:ArtifactsPath={FolderOf(bench, form)}.artifacts", "--output", FolderOf(bench, form), .. options,
            ]))!;
        await publish.WaitForExitAsync();
        if (publish.ExitCode != 0)
        {
            throw new InvalidOperationException($"dotnet publish ended with {publish.ExitCode}.");
        }
    }

    /// <summary>Bytes of the layer that an image gets from the folder.</summary>
    private static async Task<long> LayerBytesAsync(string folder)
    {
        var layer = $"{folder}.tar.gz";
        await using (var compressed = new GZipStream(File.Create(layer), CompressionLevel.Optimal))
        {
            await TarFile.CreateFromDirectoryAsync(folder, compressed, includeBaseDirectory: false);
        }

        return new FileInfo(layer).Length;
    }
}
