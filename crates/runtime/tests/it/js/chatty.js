for (let i = 0; i < 10_000; i++) console.log("line", i);
