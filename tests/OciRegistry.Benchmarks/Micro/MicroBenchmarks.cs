using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace OciRegistry.Benchmarks.Micro;

/// <summary>What single steps of a request cost, by BenchmarkDotNet, in this process: that needs no second build.</summary>
internal static class MicroBenchmarks
{
    public static void Run()
    {
        var results = Directory.CreateTempSubdirectory("oci-registry-benchmark-");
        try
        {
            BenchmarkSwitcher.FromAssembly(typeof(MicroBenchmarks).Assembly).RunAllJoined(ManualConfig.CreateEmpty()
                .AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance))
                .AddColumnProvider(DefaultColumnProviders.Instance)
                .AddLogger(ConsoleLogger.Default)
                .WithArtifactsPath(results.FullName));
        }
        finally
        {
            results.Delete(recursive: true);
        }
    }
}
