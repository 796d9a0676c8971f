using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Benchmarks.Support;

/// <summary>What the machine itself takes for the work that no registry can avoid.</summary>
internal static class MachineFloors
{
    private const long GiB = 1 << 30;

    /// <summary>Processor seconds for the SHA-256 of a GiB in memory.</summary>
    public static double HashCpuPerGiB()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[Noise.BlockSize];
        var before = CpuTime.Of(Environment.ProcessId);
        for (long offset = 0; offset < GiB; offset += block.Length)
        {
            hash.AppendData(block);
        }

        return (CpuTime.Of(Environment.ProcessId) - before).Total;
    }

    /// <summary>
    /// The kernel's price for memory and disk, which every push pays too. In a virtual machine it varies by a factor of
    /// five: with whether the host has given the memory for the page cache yet.
    /// </summary>
    public static (double KernelCpuPerGiB, double BytesPerSecond) WriteAndSync(string folder)
    {
        var path = Path.Combine(folder, "written");
        var noise = new Noise(Seed: 0, Length: GiB);
        var block = new byte[Noise.BlockSize];
        var before = CpuTime.Of(Environment.ProcessId);
        var started = Stopwatch.GetTimestamp();
        using (var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write))
        {
            for (long offset = 0; offset < noise.Length; offset += block.Length)
            {
                noise.Read(block, offset);
                RandomAccess.Write(file, block, offset);
            }

            RandomAccess.FlushToDisk(file);
        }

        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        var cpu = CpuTime.Of(Environment.ProcessId) - before;
        File.Delete(path);
        return (cpu.Kernel, GiB / seconds);
    }

    /// <summary>Write, sync, rename, sync the folder, per second: what one durable document takes at least.</summary>
    public static async Task<double> DurableRenamesAsync(string parent, int parallelism)
    {
        const int count = 1_000;
        var folder = Directory.CreateDirectory(Path.Combine(parent, $"renames-{parallelism}")).FullName;
        var started = Stopwatch.GetTimestamp();
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = parallelism }, (i, _) =>
        {
            var path = Path.Combine(folder, $"{i}");
            using (var file = Posix.OpenReadWrite($"{path}.new", create: true)!)
            {
                RandomAccess.Write(file, new byte[1024], 0);
                Posix.Sync(file);
            }

            File.Move($"{path}.new", path);
            DurableFile.SyncFolder(folder);
            return ValueTask.CompletedTask;
        });
        return count / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    /// <summary>Processor seconds for a GiB from one loopback socket into another, both ends together.</summary>
    public static double LoopbackCpuPerGiB()
    {
        const int total = 4;
        var block = new byte[64 * 1024];
        var before = CpuTime.Of(Environment.ProcessId);
        SendOverLoopback(sender =>
        {
            for (long sent = 0; sent < total * GiB; sent += block.Length)
            {
                sender.Send(block);
            }
        });
        return (CpuTime.Of(Environment.ProcessId) - before).Total / total;
    }

    /// <summary>
    /// Processor seconds of the sending end alone for a GiB from a file in the page cache: copied, and by sendfile(2).
    /// </summary>
    public static (double Copied, double BySendfile) FileToLoopbackCpuPerGiB(string folder)
    {
        const int rounds = 20;
        const int size = 100 << 20;
        var path = Path.Combine(folder, "sent");
        File.WriteAllBytes(path, new byte[size]);
        using var file = Posix.OpenRead(path)!;
        var buffer = new byte[64 * 1024];
        var copied = OfSender(sender =>
        {
            for (long offset = 0; offset < size; offset += buffer.Length)
            {
                sender.Send(buffer.AsSpan(0, Posix.Read(file, buffer, offset)));
            }
        });
        var sent = OfSender(sender =>
        {
            for (long offset = 0; offset < size;)
            {
                offset += Posix.TrySendFile(sender.SafeHandle, file, offset, size - offset) ?? 0;
            }
        });
        File.Delete(path);
        return (copied, sent);

        static double OfSender(Action<Socket> send)
        {
            var seconds = 0.0;
            SendOverLoopback(sender =>
            {
                var before = CpuTime.OfThisThread();
                for (var round = 0; round < rounds; round++)
                {
                    send(sender);
                }

                seconds = (CpuTime.OfThisThread() - before).Total;
            });
            return seconds * GiB / ((double)size * rounds);
        }
    }

    private static void SendOverLoopback(Action<Socket> send)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new Socket(SocketType.Stream, ProtocolType.Tcp);
        sender.Connect(listener.LocalEndpoint);
        using var receiver = listener.AcceptSocket();
        var sending = new Thread(() =>
        {
            send(sender);
            sender.Shutdown(SocketShutdown.Send);
        });
        sending.Start();
        var buffer = new byte[256 * 1024];
        while (receiver.Receive(buffer) > 0)
        {
            // Only to have it here.
        }

        sending.Join();
    }
}
